"""YAML files, presets and `key=value` words, read as trees of plain values."""

import io
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from raygan.components import nearest
from raygan.config.explain import short
from raygan.errors import InputError

Tree = dict[str, Any]
_PRESETS = files("raygan.config") / "presets"
_MOST_VALUES = 100_000  # a list may have a value per device; a few lines of YAML aliases can expand beyond the memory
_LONGEST_PATH = 2000  # characters; a section that contains itself has an endless path
_MOST_BITS = 1024  # the digits of a float


def preset_names() -> list[str]:
    """Returns the names of the configs that ship with raygan."""
    return sorted(entry.name.removesuffix(".yaml") for entry in _PRESETS.iterdir() if entry.name.endswith(".yaml"))


def read(source: str) -> Tree:
    path = Path(source)
    if source in preset_names():
        text = (_PRESETS / f"{source}.yaml").read_text(encoding="utf-8")
    elif path.suffix in (".yaml", ".yml") or path.exists():
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{source}: cannot be read as a config file: {error}", code="unreadable") from error
    else:
        raise InputError(
            f"{source}: neither a .yaml file nor a preset; {nearest(source, preset_names())}", code="unknown"
        )
    try:
        tree = parse_yaml(text)
    except ValueError as error:
        raise InputError(f"{source}: not valid YAML: {error}", code="damaged") from error
    if not isinstance(tree, dict | None):
        raise InputError(f"{source}: holds a {type(tree).__name__}, but a config is keys and values", code="damaged")
    return tree or {}


def parse_word(word: str) -> Tree:
    key, equals, text = word.partition("=")
    if not equals or not key:
        raise InputError(f"{word}: not of the form key=value (for example rounds=200)", code="value")
    try:
        value: Any = parse_yaml(text) if text else ""
    except ValueError as error:
        raise InputError(f"{key}: {short(text)} is not a YAML value: {error}", code="value") from error
    for part in reversed(key.split(".")):
        value = {part: value}
    return dict(value)


def dump(tree: Mapping[str, Any]) -> str:
    """Returns a tree as YAML, with its keys in order."""
    text = _dumped(tree, as_it_is=True)
    return _dumped(tree, as_it_is=False) if "\x85" in text else text  # YAML reads it as the end of a line


def _dumped(tree: Mapping[str, Any], as_it_is: bool) -> str:
    text = io.StringIO()
    writer = _yaml()
    writer.default_flow_style = False
    writer.allow_unicode = as_it_is
    writer.dump(dict(tree), text)
    return text.getvalue()


def _yaml() -> YAML:
    return YAML(typ="safe", pure=True)  # YAML 1.2: 1e-4 is a number, a repeated key is an error


def parse_yaml(text: str) -> Any:
    """Parse YAML; raises ValueError with one line for text that is not YAML."""
    try:
        return _yaml().load(text)
    except (YAMLError, ValueError, RecursionError) as error:  # ValueError: an invalid date
        raise ValueError(" ".join(str(error).split())) from error


def check_plain(tree: Mapping[str, Any]) -> None:
    """Reject what YAML allows and a config does not: keys that are not words, overlong numbers, endless values.

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
                raise InputError(f"{path}{stray[0]!r}: unknown key; keys are words", code="unknown")
            todo += [(f"{path}{key}.", below) for key, below in value.items()]
        elif isinstance(value, list):
            todo += [(path, below) for below in value]
        elif isinstance(value, int) and value.bit_length() > _MOST_BITS:
            raise InputError(
                f"{path.removesuffix('.')}: a number of {value.bit_length()} bits is too large", code="value"
            )
    raise InputError(
        f"{path.split('.')[0]}: holds more than {_MOST_VALUES:,} values, or itself (by & and *)", code="value"
    )
