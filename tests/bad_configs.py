"""Configs that are certainly wrong, made from the config tree itself: each kind of field has its wrong values."""

import types
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import numpy as np
from pydantic.fields import FieldInfo

from raygan.config import Config, Section
from raygan.config.explain import sections_of

Random = np.random.Generator
Words = tuple[str, ...]


@dataclass(frozen=True)
class Bad:
    """Words of a command line, and what its complaint must name: one of these."""

    words: Words
    names: Words


@dataclass(frozen=True)
class Leaf:
    """A key that holds a value, and the words that make it exist."""

    key: str
    field: FieldInfo
    needs: Words


REQUIRED = {"data.root": "data.root=/no/such/place", "selection.count": "selection.count=1"}
OWN = "package.module:name"


def leaves(section: type[Section] = Config, prefix: str = "", needs: Words = ()) -> Iterator[Leaf]:
    """Every key of the tree, in every choice that has it."""
    for name, field in section.model_fields.items():
        key = prefix + name
        below = sections_of(field.annotation)
        if not below:
            yield Leaf(key, field, needs)
        for choice in below:
            words = needs
            if len(below) > 1:
                chosen = (get_args(choice.model_fields["name"].annotation) or (OWN,))[0]
                required = [n for n, f in choice.model_fields.items() if f.is_required() and n != "name"]
                words = (*needs, f"{key}.name={chosen}", *(REQUIRED[f"{key}.{n}"] for n in required))
            yield from leaves(choice, f"{key}.", words)


def section_keys(section: type[Section] = Config, prefix: str = "") -> Iterator[tuple[str, list[str]]]:
    """Every section by its path, and the keys that any of its choices has."""
    yield prefix, list(section.model_fields)
    for name, field in section.model_fields.items():
        if below := sections_of(field.annotation):
            yield f"{prefix}{name}.", sorted({key for choice in below for key in choice.model_fields})
            for choice in below:
                yield from (found for found in section_keys(choice, f"{prefix}{name}.") if found[0].count(".") > 1)


LEAVES = list(leaves())
SECTIONS = dict(section_keys())
HUGE = "9" * 400
NOT_A_NUMBER = ["abc", "''", "'3'", "true", "[1]", "{a: 1}", ".nan", ".inf", "-.inf", "2020-01-01", "ünï", "'😀'", "1e"]
WRONG = {
    bool: ["3", "1", "1.5", "abc", "'true'", "''", "[true]", "{a: 1}", ".nan"],
    int: [*NOT_A_NUMBER, "1.5", "0x" + "f" * 5000, "9" * 5000],
    float: [*NOT_A_NUMBER, HUGE, "1e999", "0x" + "f" * 5000],
    str: ["3", "true", "1.5", "[a]", "{a: 1}"],
    Path: ["3", "true", "1.5", "[a]", "{a: 1}"],
    tuple: ["abc", "{a: 1}", "[abc]", "[1, [2]]", "null", ".nan", "[.inf]", "0", "[1, -1]", "true"],
    dict: ["3", "[1]", "abc", "{a: [1]}", "{a: {b: 1}}", "{a: null}", "{1: 2}", "{a: .nan}"],
    Literal: ["nonsense", "[batch]", "{a: 1}", "''", "-7", "1.5", "ünï"],
}
NAMES = ("method", "gan.generator", "gan.discriminator", "gan.loss")


def parts(annotation: Any, metadata: list[Any]) -> tuple[set[Any], list[Any]]:
    """The plain types of an annotation, and the bounds in it."""
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *more = get_args(annotation)
        more = [one for item in more for one in (item.metadata if isinstance(item, FieldInfo) else [item])]
        return parts(inner, metadata + more)
    if origin in (Union, types.UnionType):
        found = [parts(part, []) for part in get_args(annotation)]
        return set().union(*(kinds for kinds, _ in found)), metadata + [
            bound for _, bounds in found for bound in bounds
        ]
    return {Literal if origin is Literal else origin or annotation}, metadata


def wrong_values(leaf: Leaf) -> list[str]:
    """Values, as YAML, that the key cannot have."""
    kinds, bounds = parts(leaf.field.annotation, list(leaf.field.metadata))
    optional = type(None) in kinds
    first, *others = sorted(kinds - {type(None)}, key=str)
    values = [value for value in WRONG[first] if all(value in WRONG[kind] for kind in others)]
    values = [value for value in values if not (optional and value == "''")]
    if not optional:
        values.append("null")
    if leaf.key in NAMES or leaf.key.endswith(".name"):
        values += ["nonsense", "''", "ünï", "'../x'", "'a b'"]
    for bound in bounds:
        if (low := getattr(bound, "ge", None)) is not None:
            values += [str(low - 1), f"-{HUGE}"]
        if getattr(bound, "gt", None) is not None:
            values += [str(bound.gt), "-1", f"-{HUGE}"]
        if (high := getattr(bound, "le", None)) is not None:
            values.append(str(high + 1))
        if getattr(bound, "lt", None) is not None:
            values += [str(bound.lt), HUGE]
    return values


def wrong_value(random: Random) -> Bad:
    leaf = LEAVES[random.integers(len(LEAVES))]
    values = wrong_values(leaf)
    value = values[random.integers(len(values))]
    parent = leaf.key.rpartition(".")[0] if leaf.key.endswith(".name") else leaf.key
    return Bad((*leaf.needs, f"{leaf.key}={value}"), (leaf.key, f"{parent}:"))


def section_for_a_scalar(random: Random) -> Bad:
    key = str(random.choice([leaf.key for leaf in LEAVES if not leaf.needs and not leaf.key.endswith("options")]))
    return Bad((f"{key}.{random.choice(['x', 'name', '0'])}=3",), (key,))


def scalar_for_a_section(random: Random) -> Bad:
    key = str(random.choice([prefix[:-1] for prefix in SECTIONS if prefix]))
    return Bad((f"{key}={random.choice(['3', '1.5', 'true', 'abc', '[1]', '[]'])}",), (key,))


def unknown_key(random: Random) -> Bad:
    prefix = str(random.choice(list(SECTIONS)))
    known = SECTIONS[prefix]
    name = str(random.choice(known))
    at = int(random.integers(len(name)))
    wrongs = [
        name[:at] + name[at + 1 :],
        name[:at] + name[at] + name[at:],
        name.upper(),
        name + "s",
        "zzz",
        "ключ",
        " ",
    ]
    wrong = str(random.choice([wrong for wrong in wrongs if wrong and wrong not in known]))
    return Bad((f"{prefix}{wrong}=1",), (prefix + wrong,))


def contradiction(random: Random) -> Bad:
    n = int(random.integers(1, 6))
    own, more = f"devices={n}", n + int(random.integers(1, 4))
    speeds = "[" + ",".join(["1e9"] * (more + 1)) + "]"
    pick: list[tuple[Words, str]] = [
        ((own, "selection.name=uniform", f"selection.count={more}"), "selection.count"),
        ((own, f"compute.device_flops={speeds}"), "compute.device_flops"),
        ((own, "channel.name=constant", f"channel.downlink_bps={speeds}"), "channel.downlink_bps"),
        ((own, "compute.device_flops=[]"), "compute.device_flops"),
        ((own, "selection.name=best_channel", "selection.count=1"), "selection.name"),
        ((own, "selection.name=round_robin"), "selection.count"),
        ((own, "channel.name=wireless", f"channel.radius_m={n}"), "radius_m"),
        (("data.name=gaussians", "data.layout=grid", f"data.modes={n * n + n}"), "data: modes="),
        ((own, "data.name=gaussians", f"data.samples={100 + n}"), "gan.generator"),
        ((own, "data.name=npz"), "data.root"),
        ((own, "data.name=folder", f"data.root=/no/such/{n}"), "data.root"),
        ((own, "method=mdgan", f"mdgan.batches={more}", "mdgan.swap_epochs=null"), "mdgan.batches"),
        (("method=mdgan", "devices=1"), "mdgan.swap_epochs"),
        ((f"data.limit={n}", f"devices={more}"), "devices"),
        ((own, f"eval.inception_weights=/no/{n}.pth"), "eval.inception_weights"),
        ((own, f"gan.generator=no.such{n}:Net"), "gan.generator"),
        ((own, f"method=no.such{n}:Method"), "method"),
    ]
    words, name = pick[random.integers(len(pick))]
    return Bad(words, (name,))


def bomb(levels: int) -> str:
    """A few hundred bytes of YAML that say 9 to the power of `levels` values."""
    lines = ["l0: &l0 [1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


TEXTS = [
    "rounds: [1",
    "rounds: {a: 1",
    "rounds: 'abc",
    'rounds: "\\q"',
    "\trounds: 1",
    "rounds: 1: 2",
    "rounds: *nobody",
    "rounds: @x",
    "rounds: `x`",
    "rounds: !!int abc",
    "rounds: !!float x",
    "rounds: 2020-13-45",
    "%YAML 9\nrounds: 1",
    "--- 1\n--- 2",
    "- 1\n- 2",
    "just words",
    "42",
    "'😀'",
    "true",
    "rounds: 1\nrounds: 2",
    "gan: {latent: 3, latent: 4}",
    "gan:\n  latent: 3\n  latent: 3",
    "3: 4",
    "rounds: 3\n2.5: x",
    "true: 1",
    "null: 1",
    "2020-01-01: 1",
    "[1, 2]: 3",
    "{a: 1}: 3",
    "gan: {1: 2}",
    "gan: {options: {null: 3}}",
    "'': 3",
    "ключ: 3",
    "'rounds ': 3",
    "ROUNDS: 3",
    "!!python/object/apply:os.system ['touch marker']",
    "rounds: !!python/object/apply:os.system ['touch marker']",
    "rounds: !!python/name:os.system",
    "method: !!python/object/new:pathlib.Path [marker]",
    "rounds: !mine {a: 1}",
    "rounds: !!set {a, b}",
    "rounds: !!binary aGVsbG8=",
    "rounds: !!omap [a: 1]",
    "rounds: !!timestamp 2001-01-01",
    "gan: &a {x: *a}",
    "gan: &a {options: {x: *a}}",
    "rounds: &a [*a]",
    "&a [*a]",
    "? &a {*a : 1}\n: 1",
    bomb(6),
    bomb(9),
    bomb(30),
    "rounds: " + "[" * 3000,
    "rounds: " + "[" * 120 + "]" * 120,
    "rounds: " + "{a: " * 3000,
    "a: " * 3000,
    "rounds: " + "9" * 5000,
    "rounds: 0x" + "f" * 5000,
    "rounds: " + "x" * 100_000,
    "x" * 100_000 + ": 1",
]


def wrong_text(random: Random, folder: Path) -> Bad:
    path = folder / "mine.yaml"
    text = TEXTS[random.integers(len(TEXTS))]
    path.write_text(text + str(random.choice(["", "\n", "\n# the end\n"])), encoding="utf-8")
    keys = tuple(line.partition(":")[0] for line in text.splitlines() if ":" in line)
    return Bad((str(path),), (str(path), "unknown key", *keys))


def wrong_file(random: Random, folder: Path) -> Bad:
    path = folder / str(random.choice(["mine.yaml", "mine.yml", "mine.bin", "mïne 😀.yaml"]))
    noise = random.bytes(int(random.integers(1, 400)))
    contents = [
        b"\xff" + noise,
        noise + b"\x00",
        b"\x1f\x8b\x08" + noise,
        b"\x89PNG\r\n" + noise,
        b"\x80\x04\x95" + noise,
    ]
    case = random.integers(len(contents) + 2)
    if case < len(contents):
        path.write_bytes(contents[case])
    elif case == len(contents):
        path.mkdir()
    return Bad((str(path),), (str(path),))


def as_file(bad: Bad, folder: Path) -> Bad:
    """The same, said in a file."""
    tree: dict[str, Any] = {}
    for word in bad.words:
        key, _, text = word.partition("=")
        *sections, last = key.split(".")
        below = tree
        for part in sections:
            below = below.setdefault(part, {})
        below[last] = text
    path = folder / "mine.yaml"
    path.write_text(_yaml(tree), encoding="utf-8")
    return Bad((str(path),), (str(path), *bad.names))


def _yaml(tree: dict[str, Any], indent: str = "") -> str:
    lines = ""
    for key, value in tree.items():
        lines += f"{indent}{key!r}:" + (f"\n{_yaml(value, indent + ' ')}" if isinstance(value, dict) else f" {value}\n")
    return lines


BASES: list[Words] = [(), (), ("digits",), ("mnist", "rounds=3"), ("gaussians", "seed=3"), ("gan.latent=5", "rounds=2")]
IN_WORDS: list[Callable[[Random], Bad]] = [
    *[wrong_value] * 5,
    section_for_a_scalar,
    scalar_for_a_section,
    *[unknown_key] * 2,
    *[contradiction] * 2,
]
IN_FILES = [*[wrong_text] * 3, wrong_file]


def bad_config(random: Random, folder: Path) -> Bad:
    """Any of them. Files go into `folder`."""
    if random.random() < 0.25:
        return IN_FILES[random.integers(len(IN_FILES))](random, folder)
    make = IN_WORDS[random.integers(len(IN_WORDS))]
    bad = make(random)
    if random.random() < 0.3:
        return as_file(bad, folder)
    base = BASES[random.integers(len(BASES))] if make is not contradiction else ()
    return Bad((*base, *bad.words), bad.names)
