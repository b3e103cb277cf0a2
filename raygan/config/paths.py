"""Absolute paths in a config, so that a run does not depend on a working folder."""

from pathlib import Path
from typing import TypeVar

from raygan.config.section import Section

AnySection = TypeVar("AnySection", bound=Section)


def absolute(section: AnySection) -> AnySection:
    """Returns a section, usually the whole tree, with every relative path resolved from the working folder."""
    changes: dict[str, object] = {}
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Section):
            changes[name] = absolute(value)
        elif isinstance(value, Path):
            changes[name] = value.absolute()  # `..` is kept, because it may lead out of a link
    return section.model_copy(update=changes)


def relative_paths(section: Section, prefix: str = "") -> dict[str, Path]:
    """Returns the relative paths in a section by key."""
    found: dict[str, Path] = {}
    for name in type(section).model_fields:
        value = getattr(section, name)
        if isinstance(value, Section):
            found |= relative_paths(value, f"{prefix}{name}.")
        elif isinstance(value, Path) and not value.is_absolute():
            found[prefix + name] = value
    return found
