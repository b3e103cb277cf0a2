"""Paths in a config: what they lead to does not depend on a working folder once a run has begun."""

from pathlib import Path
from typing import TypeVar

from raygan.config.section import Section

Part = TypeVar("Part", bound=Section)


def absolute(section: Part) -> Part:
    """A section, the whole tree as a rule, with every relative path in it as it is seen from the working folder."""
    changes: dict[str, object] = {}
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Section):
            changes[name] = absolute(value)
        elif isinstance(value, Path):
            changes[name] = value.absolute()  # `..` stays, as it may lead out of a link
    return section.model_copy(update=changes)


def relative_paths(section: Section, prefix: str = "") -> dict[str, Path]:
    """The relative paths in a section, by their keys."""
    found: dict[str, Path] = {}
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Section):
            found |= relative_paths(value, f"{prefix}{name}.")
        elif isinstance(value, Path) and not value.is_absolute():
            found[prefix + name] = value
    return found
