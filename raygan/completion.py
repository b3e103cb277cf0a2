"""Shell completion at the TAB key: config files, keys, values and run folders.

click implements the shells' side (`_RAYGAN_COMPLETE=bash_source raygan`). A shell puts a space after a single
candidate, so one that ends in `.`, `=` or `/` is replaced by its possible continuations.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import click
from click.shell_completion import CompletionItem

from raygan import components
from raygan.config import Config, Section, preset_names
from raygan.config.explain import chosen_section, sections_of

_TABLES = {
    "method": components.METHODS,
    "gan.generator": components.GENERATORS,
    "gan.discriminator": components.DISCRIMINATORS,
    "gan.loss": components.LOSSES,
    "data.name": components.DATA_SETS,
    "data.partition.name": components.PARTITIONS,
    "aggregation.name": components.AGGREGATORS,
    "compression.name": components.CODECS,
    "downlink_compression.name": components.CODECS,
    "channel.name": components.CHANNELS,
    "selection.name": components.SELECTIONS,
    "eval.metrics": components.METRICS,
}
_NETWORK = "gan.generator="
Offer = Callable[[str], Iterable[str]]
"""Maps the typed prefix to candidates: whole words that begin with it."""


# --- for click -------------------------------------------------------------------------------------


def config_words(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """[CONFIG] [KEY=VALUE]..."""
    return _offered(context.params["words"], begun, [Config], preset_names())


def sweep_words(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """[SWEEP] [KEY=VALUE]..."""
    from raygan.sweep.spec import Sweep

    return _offered(context.params["words"], begun, [Sweep, Config], [])


def evaluation_words(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Completes the settings of a finished run: eval.KEY=VALUE, the place of the data, and a custom network."""
    return _offered(context.params["overrides"], begun, [Config], only=("eval.", "data.root", _NETWORK))


def price_words(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """What may have another price: the links and the computing speeds."""
    return _offered(context.params.get("price") or (), begun, [Config], only=("channel.", "compute."))


def network_words(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Completes the name of a custom network."""
    return _offered(context.params["overrides"], begun, [Config], only=(_NETWORK,))


def run_folders(context: click.Context, parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Completes folders that hold a run, and folders above them."""
    found = _unfolded(begun, lambda start: _paths(start, lambda path: (path / "config.yaml").is_file()))
    return [CompletionItem(word) for word in found]


def _offered(
    given: Sequence[str],
    begun: str,
    roots: Sequence[type[Section]],
    names: Sequence[str] | None = None,
    only: Sequence[str] = ("",),
) -> list[CompletionItem]:
    """Returns keys and values, restricted to those below `only`; `names` and YAML files if nothing was `given` yet.

    bash splits words at `=`: it passes three words for one, and expects the value alone.
    """
    typed = "\0".join(given).replace("\0=\0", "=").replace("\0=", "=").split("\0") if given else []
    keys = keys_of(roots, typed)

    def allowed(start: str) -> list[str]:
        return [word for word in keys(start) if any(word.startswith(one) or one.startswith(word) for one in only)]

    if typed and "=" not in begun:
        apart = typed[-1].removesuffix("=") + "="
        if values := _unfolded(apart + begun, allowed):
            return [CompletionItem(word.removeprefix(apart)) for word in values]
    if names is None or given:
        found = _unfolded(begun, allowed)
    else:
        found = _unfolded(begun, lambda start: [*_sources(names, start), *allowed(start)])
    return [CompletionItem(word) for word in found]


def _unfolded(begun: str, offer: Offer) -> list[str]:
    """Returns the candidates; a single incomplete one is replaced by its continuations."""
    found = list(offer(begun))
    while len(found) == 1 and found[0].endswith((".", "=", "/")):
        below = list(offer(found[0]))
        if below in ([], found):
            break
        found = below
    return found


# --- keys and values -------------------------------------------------------------------------------


def keys_of(roots: Sequence[type[Section]], typed: Iterable[str]) -> Offer:
    """Returns `key=value` words of a tree: the next part of a path, or the values of a key.

    Below a section with choices, the keys are those of the choice that was `typed`, else those of all choices.
    """
    chosen = dict(word.split("=", 1) for word in typed if "=" in word)

    def offer(begun: str) -> list[str]:
        key, equals, start = begun.partition("=")
        *parents, last = key.split(".")
        sections = [below for root in roots for below in _below([root], parents, chosen)]
        path = "".join(f"{parent}." for parent in parents)
        fields = [(name, field.annotation) for section in sections for name, field in section.model_fields.items()]
        if not equals:
            names = [f"{name}." if sections_of(annotation) else f"{name}=" for name, annotation in fields]
            return _unique(f"{path}{name}" for name in names if name.startswith(last))
        values = [
            value
            for section in sections
            for name, field in section.model_fields.items()
            if name == last and not sections_of(field.annotation)
            for value in _values(key, field.annotation, field.get_default(), start)
        ]
        return _unique(f"{key}={value}" for value in values if value.startswith(start))

    return offer


def _below(sections: list[type[Section]], parents: list[str], chosen: dict[str, str]) -> list[type[Section]]:
    """Returns the sections at a path."""
    path = ""
    for parent in parents:
        path += f"{parent}."
        fields = [section.model_fields[parent] for section in sections if parent in section.model_fields]
        sections = [below for field in fields for below in sections_of(field.annotation)]
        if sections and f"{path}name" in chosen:
            sections = [chosen_section(sections, chosen[f"{path}name"])]
    return sections


def _values(key: str, annotation: Any, default: object, start: str) -> Iterator[str]:
    """Returns the values of a key, files, or its default as an example beside the empty word."""
    words = list(_words(annotation))
    if key in _TABLES:
        yield from _TABLES[key]
    elif Path in (annotation, *map(_bare, get_args(annotation))):
        yield from _paths(start, lambda path: path.is_file())
    elif set(words) - {"null"}:
        yield from words
    else:
        yield from ("", *words, *_written(default))


def _bare(annotation: Any) -> Any:
    """Returns a type without what is annotated to it."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _words(annotation: Any) -> Iterator[str]:
    """Returns the values of a type that has few."""
    if get_origin(annotation) is Literal:
        yield from map(str, get_args(annotation))
    elif annotation is bool:
        yield from ("true", "false")
    elif annotation is type(None):
        yield "null"
    elif get_origin(annotation) in (Union, UnionType):
        for part in get_args(annotation):
            yield from _words(part)


def _written(default: object) -> Iterator[str]:
    """Returns a default as it would be typed, if it is a plain value."""
    if isinstance(default, tuple) and len(default) == 1:
        yield from _written(default[0])
    elif isinstance(default, float):
        yield f"{default:g}"
    elif isinstance(default, int | str):
        yield str(default)


def _unique(words: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(words))


# --- files -----------------------------------------------------------------------------------------


def _sources(names: Sequence[str], begun: str) -> list[str]:
    """Returns names and YAML files."""
    known = [name for name in names if name.startswith(begun)]
    return [*known, *_paths(begun, lambda path: path.suffix in (".yaml", ".yml"))]


def _paths(begun: str, wanted: Callable[[Path], bool]) -> list[str]:
    """Returns wanted files or folders with this prefix, and folders to descend into, without hidden ones."""
    folder, slash, start = begun.rpartition("/")
    try:
        entries = sorted(Path(folder + slash or ".").iterdir())
    except OSError:  # no such folder
        return []
    found = []
    for entry in entries:
        if entry.name.startswith(start) and not entry.name.startswith(".", len(start)):
            if wanted(entry):
                found.append(f"{folder}{slash}{entry.name}")
            elif entry.is_dir():
                found.append(f"{folder}{slash}{entry.name}/")
    return found
