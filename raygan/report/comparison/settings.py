"""The settings of a run that differ from the defaults, and the command that repeats the run."""

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic_core import PydanticUndefined

from raygan.config import Config
from raygan.config.data import FileDataSet, ScannedDataSet
from raygan.config.section import Section
from raygan.config.source import parse_yaml
from raygan.record.settings import flatten

_AGAIN = "runs/again"
NO_VALUE = "-"
"""Shown if a key has no default, or does not apply."""


@dataclass(frozen=True)
class Change:
    """A key whose value is not the default."""

    key: str
    value: Any
    usual: str
    """The default as text."""

    @property
    def word(self) -> str:
        """Returns the word that sets it on a command line."""
        return f"{self.key}={_written(self.value)}"


def changes(config: Config) -> list[Change]:
    """Returns all keys with values other than the defaults, which depend on the chosen component."""
    return list(_changes(config, Config(), ""))


def _changes(section: Section, usual: Section, prefix: str) -> Iterator[Change]:
    plain = section.model_dump(mode="json")
    for name, field in sorted(type(section).model_fields.items(), key=lambda item: item[0] != "name"):
        value = getattr(section, name)
        if type(usual) is type(section) or name == "name":
            before = getattr(usual, name)
        else:
            before = field.get_default(call_default_factory=True)
        if isinstance(value, Section):
            yield from _changes(value, before, f"{prefix}{name}.")
        elif value != before:
            said = NO_VALUE if before is PydanticUndefined else shown_setting(before)
            yield Change(prefix + name, plain[name], said)


def shown_setting(value: object) -> str:
    """Returns a value as a table shows it."""
    return value if isinstance(value, str) else json.dumps(value, default=str)


def command(config: Config) -> str:
    """Returns the shell command that repeats the run."""
    return shlex.join(["raygan", "train", *(change.word for change in changes(config)), "--out", _AGAIN])


def _written(value: object) -> str:
    """Returns a value as one line of YAML that reads back to the same value."""
    if isinstance(value, str) and value and _reads_as(value) == value:
        return value
    return json.dumps(value)


def _reads_as(text: str) -> object:
    try:
        return parse_yaml(text)
    except ValueError:
        return None


def needs(config: Config) -> list[str]:
    """Returns the files and modules that the command needs, beside raygan."""
    flat = flatten(config.model_dump(mode="json"))
    lines = []
    if modules := sorted({name.partition(":")[0] for name in _components(flat) if ":" in name}):
        lines.append(f"own code: {', '.join(modules)}, where Python finds it (the current folder will do)")
    root = getattr(config.data, "root", None)
    if root is not None:
        lines.append(f"the data at data.root={root}")
    elif isinstance(config.data, FileDataSet | ScannedDataSet):
        lines.append(f"the data set {config.data.name} where it is usually kept, or a network to fetch it from")
    if isinstance(weights := config.eval.inception_weights, Path):
        lines.append(f"Inception's weights at eval.inception_weights={weights}")
    if config.engine.address is not None:
        lines.append(f"a Ray cluster at engine.address={config.engine.address}")
    return lines


def _components(flat: Mapping[str, object]) -> Iterator[str]:
    """Returns the values that may be import paths."""
    for key, value in flat.items():
        if key in ("method", "gan.generator", "gan.discriminator", "gan.loss") or key.endswith(".name"):
            yield str(value)
        elif key == "eval.metrics" and isinstance(value, list):
            yield from map(str, value)


def differing(configs: Mapping[str, Config]) -> dict[str, list[str]]:
    """Returns the keys in which runs differ, each with a value per run as text."""
    flats = [flatten(config.model_dump(mode="json")) for config in configs.values()]
    keys = sorted({key for flat in flats for key in flat})
    values = {key: [shown_setting(flat[key]) if key in flat else NO_VALUE for flat in flats] for key in keys}
    return {key: row for key, row in values.items() if len(set(row)) > 1}
