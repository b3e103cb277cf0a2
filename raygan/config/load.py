"""Loading and checking of configs: files or presets below `key=value` words."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from raygan.config.explain import chosen_section, code_of, explain, sections_of, short
from raygan.config.section import Section
from raygan.config.source import Tree, check_plain, dump, parse_word, read
from raygan.config.tree import Config
from raygan.errors import InputError

Root = TypeVar("Root", bound=Section)


def load_config(source: str | Path | None = None, overrides: Iterable[str] = ()) -> Config:
    """Load a config: `key=value` words override the file or preset `source`, which overrides the defaults.

    If a layer changes a section's `name` (`data.name=cifar10`), keys of lower layers that the new choice does not have
    are dropped.

    Raises:
        InputError: a file that cannot be read, an unknown key, a wrong type or value; names the key.
    """
    tree: Tree = {}
    if source is not None:
        tree = merge(tree, read(str(source)), Config)
    for word in overrides:
        tree = merge(tree, parse_word(word), Config)
    return check_config(tree)


def check_config(tree: Mapping[str, Any]) -> Config:
    """Validate a tree of plain values.

    Raises:
        InputError: names the first wrong key by its whole path, and the nearest right name.
    """
    return checked(tree, Config)


def checked(tree: Mapping[str, Any], root: type[Root]) -> Root:
    """Returns a tree of plain values as a section of the type `root`; raises as `check_config`."""
    check_plain(tree)
    try:
        return root.model_validate_json(json.dumps(tree, default=str))
    except ValidationError as error:
        raise InputError(explain(error, root), code=code_of(error)) from error


def dump_config(config: Config) -> str:
    """Returns the whole config as YAML, which `load_config` reads back to an equal one."""
    return dump(config.model_dump(mode="json"))


def merge(below: Tree, above: Tree, section: type[Section]) -> Tree:
    """Merge `above` over `below`. Keys that `section` does not know are kept, for validation to reject."""
    merged = dict(below)
    for key, value in above.items():
        field = section.model_fields.get(key)
        choices = sections_of(field.annotation) if field else []
        if isinstance(value, dict) and choices and field is not None:
            old = {} if below.get(key) is None else below[key]
            if not isinstance(old, dict):
                raise InputError(f"{key}: is a section: set one of the keys in it, got {short(old)}", code="value")
            before = old.get("name", getattr(field.default, "name", None))
            name = value.get("name", before)
            chosen = chosen_section(choices, name)
            if name != before:
                old = {known: old[known] for known in old if known in chosen.model_fields}
            merged[key] = merge(old, value, chosen)
        else:
            merged[key] = value
    return merged
