"""Writes docs/config.md from the config tree: every key, its default and what it means."""

from pathlib import Path

from raygan.config import Config, preset_names
from raygan.config.section import Section

PAGE = Path(__file__).parents[1] / "docs" / "config.md"


def sections_of(annotation: object) -> list[type[Section]]:
    if isinstance(annotation, type):
        return [annotation] if issubclass(annotation, Section) else []
    return [section for part in getattr(annotation, "__args__", ()) for section in sections_of(part)]


def shown(section: type[Section], name: str) -> str:
    field = section.model_fields[name]
    if field.is_required():
        return "(must be set)"
    value = field.default
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def table(section: type[Section], prefix: str, skip: frozenset[str] = frozenset()) -> list[str]:
    rows = []
    for name, field in section.model_fields.items():
        if name not in skip and not sections_of(field.annotation):
            rows.append(f"| `{prefix}{name}` | `{shown(section, name)}` | {field.description or ''} |")
    return ["| key | default | meaning |", "| --- | --- | --- |", *rows, ""] if rows else []


def choices(section: type[Section], prefix: str, default: str) -> list[str]:
    """The members of a union, each with the keys that only it has."""
    lines = []
    for member in sections_of(section):
        name = getattr(member.model_fields["name"], "default", None)
        title = f"`{prefix}name: {name}`" if isinstance(name, str) else f"`{prefix}name: package.module:name`"
        lines += [f"**{title}**{' (the default)' if name == default else ''}: {member.__doc__}", ""]
        lines += table(member, prefix, frozenset({"name", "limit"}))
    return lines


def page() -> str:
    lines = [
        "# Every key of the config",
        "",
        "Written by `python scripts/config_reference.py` from `raygan/config/tree.py`; a test keeps it current.",
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
        if name == "data":
            limit = members[0].model_fields["limit"].description
            partition = members[0].model_fields["partition"]
            lines += [f"Every data set also has `data.limit` (default `null`): {limit}", ""]
            lines += ["### data.partition", "", partition.description or "", ""]
            lines += choices(partition.annotation, "data.partition.", partition.default.name)
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE.relative_to(Path.cwd()) if PAGE.is_relative_to(Path.cwd()) else PAGE}")
