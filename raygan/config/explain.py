"""One-line explanations of errors in a tree of values."""

import difflib
from collections.abc import Iterable
from typing import Any, get_args, get_origin

from pydantic import ValidationError

from raygan.components import UnknownNameError
from raygan.config.section import Section
from raygan.errors import Code


def explain(error: ValidationError, root: type[Section]) -> str:
    """Returns the first of pydantic's errors about a tree of `root`, as one line that names the key."""
    details = error.errors(include_url=False)
    first = details[0]
    path = [_shown(str(part)) for part in first["loc"] if not str(part).startswith("<")]
    key = ".".join(path)
    message = first["msg"].removeprefix("Value error, ")
    message = message[0].lower() + message[1:]
    match first["type"]:
        case "extra_forbidden":
            message = f"unknown key; {_nearest_key(path, root)}"
        case "union_tag_invalid":
            known = first["ctx"]["expected_tags"].replace("<", "").replace(">", "")
            message = f"{short(first['input'].get('name'))} is not known; known: {known}"
        case "union_tag_not_found":
            message = f"is a section with a name: set {key}.name, got {short(first['input'])}"
        case "model_type":
            message = f"is a section: set one of the keys in it, got {short(first['input'])}"
        case "value_error" | "missing":
            pass
        case _:
            message += f", got {short(first['input'])}"
    more = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
    return f"{key}: {message}{more}" if key else message + more


def code_of(error: ValidationError) -> Code:
    """Returns what kind of fault the first of pydantic's errors is."""
    first = error.errors(include_url=False)[0]
    cause = first.get("ctx", {}).get("error")
    if first["type"] in ("extra_forbidden", "union_tag_invalid") or isinstance(cause, UnknownNameError):
        return "unknown"
    if first["type"] in ("missing", "union_tag_not_found"):
        return "missing"
    return "conflict" if cause is not None and isinstance(first["input"], dict) else "value"


def _nearest_key(path: list[str], root: type[Section]) -> str:
    """Returns the key nearest to the wrong one: in the same section, else anywhere in the tree, by its whole path."""
    *parents, wrong = path
    known = dict(_all_keys(root))
    if owners := known.get(".".join(path)):
        return f"only {', '.join(owners)} {'has' if len(owners) == 1 else 'have'} it"
    prefix = "".join(f"{parent}." for parent in parents)
    beside = [key.removeprefix(prefix) for key in known if key.startswith(prefix) and "." not in key[len(prefix) :]]
    if close := difflib.get_close_matches(wrong, beside, n=1, cutoff=0.6):
        return f"did you mean {prefix}{close[0]}?"
    ends = {key.rsplit(".", 1)[-1]: key for key in known}
    if close := difflib.get_close_matches(wrong, ends, n=1, cutoff=0.75):
        return f"did you mean {ends[close[0]]}?"
    if not beside:  # in a list's entry, whose own keys are all set: otherwise a missing one would be named
        return "nothing by that name is known there"
    return f"known {'in ' + '.'.join(parents) if parents else 'at the top'}: {', '.join(beside)}"


def _all_keys(section: type[Section], prefix: str = "") -> Iterable[tuple[str, list[str]]]:
    """Returns every key by its whole path, with the names of the choices that have it."""
    for name, field in section.model_fields.items():
        sections = sections_of(field.annotation)
        yield prefix + name, []
        owners: dict[str, list[str]] = {}
        for below in sections:
            for key, deeper in _all_keys(below, f"{prefix}{name}."):
                if len(sections) > 1 and not deeper:
                    own = get_args(below.model_fields["name"].annotation) or ("your own",)
                    deeper = [f"{prefix}{name}.name={own[0]}"]
                owners[key] = list(dict.fromkeys([*owners.get(key, []), *deeper]))
        yield from owners.items()


def sections_of(annotation: Any) -> list[type[Section]]:
    """Returns the sections of a field's type: none for a plain value, a list or a mapping, several for a union."""
    if get_origin(annotation) in (tuple, dict):
        return []
    if isinstance(annotation, type):
        return [annotation] if issubclass(annotation, Section) else []
    return [section for part in get_args(annotation) for section in sections_of(part)]


def chosen_section(choices: list[type[Section]], name: object) -> type[Section]:
    """Returns the section whose `name` has the literal `name`; the last one (custom components) if none has."""
    for choice in choices:
        field = choice.model_fields.get("name")
        if field is not None and name in get_args(field.annotation):
            return choice
    return choices[-1]


def _shown(key: str) -> str:
    """Returns a key, quoted if it would break the line."""
    return key if key.isprintable() else repr(key)


def short(value: object) -> str:
    """Returns `repr(value)`, truncated to fit into a line."""
    text = repr(value)
    return text if len(text) <= 200 else f"{text[:200]}... ({len(text)} characters)"
