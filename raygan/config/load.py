"""From a YAML file or a preset's name and `key=value` words to a checked `Config`, or one clear line."""

import difflib
import io
import json
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from raygan.components import nearest
from raygan.config.section import Section
from raygan.config.tree import Config
from raygan.errors import InputError

Tree = dict[str, Any]
_PRESETS = files("raygan.config") / "presets"
_MOST_VALUES = 100_000  # a list may have one per device; a few lines of YAML aliases can say more than memory holds
_LONGEST_PATH = 2000  # characters; a section that holds itself has a path without end
_MOST_BITS = 1024  # as many as a float has


def preset_names() -> list[str]:
    """Names of the configs that ship with raygan."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _PRESETS.iterdir() if entry.name.endswith(".yaml"))


def load_config(source: str | Path | None = None, overrides: Iterable[str] = ()) -> Config:
    """Read a config: defaults, below the file or preset `source`, below `key=value` words.

    Where a layer changes a section's `name` (`data.name=cifar10`), keys of the layers below that the new
    choice does not have are dropped.

    Raises:
        InputError: a file that cannot be read, an unknown key, a wrong type or value; names the key.
    """
    tree: Tree = {}
    if source is not None:
        tree = _merge(tree, _read(str(source)), Config)
    for word in overrides:
        tree = _merge(tree, _parse_override(word), Config)
    return check_config(tree)


def check_config(tree: Mapping[str, Any]) -> Config:
    """Validate a tree of plain values.

    Raises:
        InputError: names the first wrong key by its whole path, and the nearest right name.
    """
    _check_plain(tree)
    try:
        return Config.model_validate_json(json.dumps(tree, default=str))
    except ValidationError as error:
        raise InputError(_explain(error)) from error


def dump_config(config: Config) -> str:
    """The whole config as YAML that `load_config` reads back to an equal one."""
    text = io.StringIO()
    writer = _yaml()
    writer.default_flow_style = False
    writer.dump(config.model_dump(mode="json"), text)
    return text.getvalue()


def _yaml() -> YAML:
    return YAML(typ="safe", pure=True)  # YAML 1.2: 1e-4 is a number, a repeated key is an error


def _parse(text: str) -> Any:
    """Raises ValueError with one line for text that is not YAML."""
    try:
        return _yaml().load(text)
    except (YAMLError, ValueError, RecursionError) as error:  # ValueError: a date that is none
        raise ValueError(" ".join(str(error).split())) from error


def _check_plain(tree: Mapping[str, Any]) -> None:
    """Refuse what YAML can say and a config cannot: keys that are no words, endless numbers, values without end.

    Raises:
        InputError: names the key.
    """
    todo: list[tuple[str, object]] = [("", tree)]
    for _ in range(_MOST_VALUES):
        if not todo:
            return
        path, value = todo.pop()
        if len(path) > _LONGEST_PATH:
            break
        if isinstance(value, Mapping):
            stray = [key for key in value if not isinstance(key, str)]
            if stray:
                raise InputError(f"{path}{stray[0]!r}: unknown key; keys are words")
            todo += [(f"{path}{key}.", below) for key, below in value.items()]
        elif isinstance(value, list):
            todo += [(path, below) for below in value]
        elif isinstance(value, int) and value.bit_length() > _MOST_BITS:
            raise InputError(f"{path.removesuffix('.')}: a number of {value.bit_length()} bits is too large")
    raise InputError(f"{path.split('.')[0]}: holds more than {_MOST_VALUES:,} values, or itself (by & and *)")


def _shown(key: str) -> str:
    """A key as it is, or quoted if it would break the line."""
    return key if key.isprintable() else repr(key)


def _short(value: object) -> str:
    """`repr(value)`, cut off where a line would no longer be one."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}... ({len(text)} characters)"


def _read(source: str) -> Tree:
    path = Path(source)
    if source in preset_names():
        text = (_PRESETS / f"{source}.yaml").read_text(encoding="utf-8")
    elif path.suffix in (".yaml", ".yml") or path.exists():
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{source}: cannot be read as a config file: {error}") from error
    else:
        raise InputError(f"{source}: neither a .yaml file nor a preset; {nearest(source, preset_names())}")
    try:
        tree = _parse(text)
    except ValueError as error:
        raise InputError(f"{source}: not valid YAML: {error}") from error
    if not isinstance(tree, dict | None):
        raise InputError(f"{source}: holds a {type(tree).__name__}, but a config is keys and values")
    return tree or {}


def _parse_override(word: str) -> Tree:
    key, equals, text = word.partition("=")
    if not equals or not key:
        raise InputError(f"{word}: not of the form key=value (for example rounds=200)")
    try:
        value: Any = _parse(text) if text else ""
    except ValueError as error:
        raise InputError(f"{key}: {_short(text)} is not a YAML value: {error}") from error
    for part in reversed(key.split(".")):
        value = {part: value}
    return dict(value)


def _merge(below: Tree, above: Tree, section: type[Section]) -> Tree:
    """Lay `above` over `below`; keys that `section` does not know are kept, for validation to refuse."""
    merged = dict(below)
    for key, value in above.items():
        field = section.model_fields.get(key)
        choices = _sections(field.annotation) if field else []
        if isinstance(value, dict) and choices and field is not None:
            old = {} if below.get(key) is None else below[key]
            if not isinstance(old, dict):
                raise InputError(f"{key}: is a section: set one of the keys in it, got {_short(old)}")
            before = old.get("name", getattr(field.default, "name", None))
            name = value.get("name", before)
            chosen = _choose(choices, name)
            if name != before:
                old = {known: old[known] for known in old if known in chosen.model_fields}
            merged[key] = _merge(old, value, chosen)
        else:
            merged[key] = value
    return merged


def _sections(annotation: Any) -> list[type[Section]]:
    """The sections a field's type may hold: none for a plain value or a list, several for a union."""
    if get_origin(annotation) is tuple:
        return []
    if isinstance(annotation, type):
        return [annotation] if issubclass(annotation, Section) else []
    return [section for part in get_args(annotation) for section in _sections(part)]


def _choose(choices: list[type[Section]], name: object) -> type[Section]:
    """The section whose `name` has the literal `name`; the last one (own components) if none has."""
    for choice in choices:
        field = choice.model_fields.get("name")
        if field is not None and name in get_args(field.annotation):
            return choice
    return choices[-1]


def _explain(error: ValidationError) -> str:
    """The first of pydantic's complaints as one line that names the key."""
    details = error.errors(include_url=False)
    first = details[0]
    path = [_shown(str(part)) for part in first["loc"] if not str(part).startswith("<")]
    key = ".".join(path)
    message = first["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    if first["type"] == "extra_forbidden":
        message = f"unknown key; {_nearest_key(path)}"
    elif first["type"] == "union_tag_invalid":
        known = first["ctx"]["expected_tags"].replace("<", "").replace(">", "")
        message = f"{_short(first['input'].get('name'))} is not known; known: {known}"
    elif first["type"] == "union_tag_not_found":
        message = f"is a section with a name: set {key}.name, got {_short(first['input'])}"
    elif first["type"] == "model_type":
        message = f"is a section: set one of the keys in it, got {_short(first['input'])}"
    elif first["type"] not in ("value_error", "missing"):
        message += f", got {_short(first['input'])}"
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return f"{key}: {message}{more}" if key else message + more


def _nearest_key(path: list[str]) -> str:
    """The nearest key beside the wrong one, else anywhere in the tree, by its whole path."""
    *parents, wrong = path
    known = dict(_all_keys(Config))
    if owners := known.get(".".join(path)):
        return f"only {', '.join(owners)} {'has' if len(owners) == 1 else 'have'} it"
    prefix = "".join(f"{parent}." for parent in parents)
    beside = [key.removeprefix(prefix) for key in known if key.startswith(prefix) and "." not in key[len(prefix) :]]
    if close := difflib.get_close_matches(wrong, beside, n=1, cutoff=0.6):
        return f"did you mean {prefix}{close[0]}?"
    ends = {key.rsplit(".", 1)[-1]: key for key in known}
    if close := difflib.get_close_matches(wrong, ends, n=1, cutoff=0.75):
        return f"did you mean {ends[close[0]]}?"
    if not beside:  # in a list's entry, whose own keys are all there: else one that is missing would be named
        return "nothing by that name is known there"
    return f"known {'in ' + '.'.join(parents) if parents else 'at the top'}: {', '.join(beside)}"


def _all_keys(section: type[Section], prefix: str = "") -> Iterable[tuple[str, list[str]]]:
    """Every key by its whole path, with the names of the choices that have it."""
    for name, field in section.model_fields.items():
        sections = _sections(field.annotation)
        yield prefix + name, []
        owners: dict[str, list[str]] = {}
        for below in sections:
            for key, deeper in _all_keys(below, f"{prefix}{name}."):
                if len(sections) > 1 and not deeper:
                    own = get_args(below.model_fields["name"].annotation) or ("your own",)
                    deeper = [f"{prefix}{name}.name={own[0]}"]
                owners[key] = list(dict.fromkeys([*owners.get(key, []), *deeper]))
        yield from owners.items()
