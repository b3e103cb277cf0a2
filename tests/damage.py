"""Damage to one file of a run folder, at random but repeatable."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from ruamel.yaml import YAML

Random = np.random.Generator
Damage = Callable[[Path, Random], None]
OTHER_JSON = [
    "[]",
    "[1, 2]",
    "{}",
    "3",
    "-1.5",
    "null",
    "true",
    '"text"',
    '{"round": {}}',
    "1" * 5000,
    "NaN",
    "[" * 200_000,
]


def truncate(path: Path, random: Random) -> None:
    """At a random place."""
    content = path.read_bytes()
    path.write_bytes(content[: random.integers(len(content))])


def flip_a_bit(path: Path, random: Random) -> None:
    """One, at random."""
    content = bytearray(path.read_bytes())
    content[random.integers(len(content))] ^= 1 << random.integers(8)
    path.write_bytes(content)


def noise(path: Path, random: Random) -> None:
    path.write_bytes(random.bytes(int(random.integers(1, 2000))))


def noise_inside(path: Path, random: Random) -> None:
    content = bytearray(path.read_bytes())
    start = random.integers(len(content))
    content[start : start + 8] = random.bytes(8)
    path.write_bytes(content)


def empty(path: Path, random: Random) -> None:
    path.write_bytes(b"")


def delete(path: Path, random: Random) -> None:
    path.unlink()


def become_a_folder(path: Path, random: Random) -> None:
    path.unlink()
    path.mkdir()


def swap(path: Path, random: Random) -> None:
    """With any other file of the run."""
    root = next(parent for parent in path.parents if parent.name == "run")
    others = [other for other in sorted(root.rglob("*")) if other.is_file() and other != path]
    other = others[random.integers(len(others))]
    here, there = path.read_bytes(), other.read_bytes()
    path.write_bytes(there)
    other.write_bytes(here)


def rename(path: Path, random: Random) -> None:
    names = ["other", path.name + "~", "round_000009", "round_x.png", "round_000099.png", "round_²", "ñ" + path.suffix]
    path.rename(path.with_name(names[random.integers(len(names))]))


def other_json(path: Path, random: Random) -> None:
    """The file, or one line of it, is another JSON value."""
    new = OTHER_JSON[random.integers(len(OTHER_JSON))]
    lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [""]
    lines[random.integers(len(lines))] = new
    path.write_text("\n".join(lines) + "\n")


def change_a_value(path: Path, random: Random) -> None:
    """A value somewhere in the tree is dropped, or another."""

    def changed(tree: dict) -> dict:
        below, key = tree, None
        while isinstance(below, dict) and below:
            parent, key = below, list(below)[random.integers(len(below))]
            below = parent[key]
            if random.random() < 0.3:
                break
        if random.random() < 0.5:
            del parent[key]
        else:
            parent[key] = json.loads(OTHER_JSON[random.integers(9)])
        return tree

    if path.suffix == ".jsonl":
        lines = path.read_text().splitlines()
        at = random.integers(len(lines))
        lines[at] = json.dumps(changed(json.loads(lines[at])))
        path.write_text("\n".join(lines) + "\n")
    else:
        path.write_text(json.dumps(changed(YAML(typ="safe", pure=True).load(path.read_text()))))


ANY: list[Damage] = [
    truncate,
    flip_a_bit,
    noise,
    noise_inside,
    empty,
    delete,
    become_a_folder,
    swap,
    rename,
]
OF_TEXT = [other_json, change_a_value, change_a_value, change_a_value]


def damage(root: Path, random: Random) -> tuple[str, str]:
    """Damage one file below `root`; returns which, and how."""
    files = sorted(path for path in root.rglob("*") if path.is_file() and not path.name.endswith(".lock"))
    text = [path for path in files if path.suffix in (".json", ".jsonl", ".yaml")]
    if random.random() < 0.4:
        path, how = text[random.integers(len(text))], OF_TEXT[random.integers(len(OF_TEXT))]
    else:
        path, how = files[random.integers(len(files))], ANY[random.integers(len(ANY))]
    how(path, random)
    return path.relative_to(root).as_posix(), how.__name__
