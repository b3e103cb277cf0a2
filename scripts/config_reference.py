"""Writes docs/config.md from the config tree and the sweep's: every key, its default and what it means."""

from inspect import cleandoc
from pathlib import Path
from typing import get_origin

from raygan.config import Config, preset_names
from raygan.config.section import Section
from raygan.sweep.space import WORDS
from raygan.sweep.spec import Stop, Sweep

_BELOW = {"data": "partition", "aggregation": "secure"}
"""Sections in all members of a section, which have members of their own."""
PAGE = Path(__file__).parents[1] / "docs" / "config.md"


def sections_of(annotation: object) -> list[type[Section]]:
    if get_origin(annotation) in (tuple, dict):
        return []  # a list is a value
    if isinstance(annotation, type):
        return [annotation] if issubclass(annotation, Section) else []
    return [section for part in getattr(annotation, "__args__", ()) for section in sections_of(part)]


def shown(section: type[Section], name: str) -> str:
    field = section.model_fields[name]
    return "(must be set)" if field.is_required() else written(field.default)


def written(value: object) -> str:
    """A value as it would be set."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if value in ({}, ""):
        return "{}" if value == {} else '""'
    if isinstance(value, tuple):
        one_for_all = len(value) == 1
        return written(value[0]) if one_for_all else f"[{', '.join(map(written, value))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def table(section: type[Section], prefix: str, skip: frozenset[str] = frozenset()) -> list[str]:
    rows = []
    for name, field in section.model_fields.items():
        if name not in skip and not sections_of(field.annotation):
            rows.append(
                f"| `{prefix}{name}` | `{shown(section, name)}` | {' '.join((field.description or '').split())} |"
            )
    return ["| key | default | meaning |", "| --- | --- | --- |", *rows, ""] if rows else []


def choices(annotation: object, prefix: str, default: str) -> list[str]:
    """The members of a union, each with the keys that only it has, then the keys that all have."""
    members = sections_of(annotation)
    same = [{(name, shown(member, name)) for name in member.model_fields} for member in members]
    common = frozenset(name for name, _ in set.intersection(*same)) | {"name"}
    lines = []
    for member in members:
        name = getattr(member.model_fields["name"], "default", None)
        title = f"`{prefix}name: {name}`" if isinstance(name, str) else f"`{prefix}name: package.module:name`"
        text = " ".join(cleandoc(member.__doc__ or "").split())
        lines += [f"**{title}**{' (the default)' if name == default else ''}: {text}", ""]
        lines += table(member, prefix, common)
    shared = table(members[0], prefix, frozenset(members[0].model_fields) - common | {"name"})
    return [*lines, "Whichever is chosen:", "", *shared] if shared else lines


def page() -> str:
    lines = [
        "# Every key of the config",
        "",
        "Written by `python scripts/config_reference.py` from `raygan/config/` and `raygan/sweep/`; a test keeps it",
        "current.",
        "",
        "A config is a YAML file or a preset "
        f"({', '.join(f'`{name}`' for name in preset_names())}); `key=value` words lie over it. The paper's abstract",
        "leaves most of these open: every default is ours.",
        "",
        "## Top level",
        "",
        *table(Config, ""),
    ]
    for name, field in Config.model_fields.items():
        members = sections_of(field.annotation)
        if not members:
            continue
        lines += [f"## {name}", "", field.description or "", ""]
        if len(members) == 1:
            lines += table(members[0], f"{name}.")
            continue
        lines += choices(field.annotation, f"{name}.", field.default.name)
        if below := _BELOW.get(name):
            of_all = members[0].model_fields[below]
            lines += [f"### {name}.{below}", "", of_all.description or "", ""]
            lines += choices(of_all.annotation, f"{name}.{below}.", of_all.default.name)
    return "\n".join([*lines, *of_a_sweep()]).rstrip() + "\n"


def of_a_sweep() -> list[str]:
    """The keys of a sweep file."""
    words = [f"| `{word}` | {cleandoc(domain.__doc__ or '')} |" for word, domain in WORDS.items()]
    lines = [
        "# Every key of a sweep file",
        "",
        "What `raygan tune` reads ([sweeps](sweeps.md)).",
        "",
        *table(Sweep, ""),
        "## space",
        "",
        "| domain | values |",
        "| --- | --- |",
        *words,
        "",
    ]
    for name in ("scheduler", "search"):
        field = Sweep.model_fields[name]
        lines += [f"## {name}", "", field.description or "", ""]
        lines += choices(field.annotation, f"{name}.", field.default.name)
    return [*lines, "## stop", "", Sweep.model_fields["stop"].description or "", "", *table(Stop, "stop.")]


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(Path.cwd()) if PAGE.is_relative_to(Path.cwd()) else PAGE}")
