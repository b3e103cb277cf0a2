"""The cells of scripts/reproduce.py: every study x data set x split x method x seed, read from its settings."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from raygan.config.load import check_config
from raygan.record.folder import RunFolder
from raygan.record.generator_file import read_generator
from raygan.round.checks import method_of

MARKERS = ("<!-- written by scripts/reproduce.py: begin -->", "<!-- end -->")
"""What the tables stand between on their page."""
Tree = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One run."""

    study: str
    data: str
    split: str
    method: str
    seed: int
    config: Tree

    @property
    def name(self) -> str:
        """Its folder's."""
        words = (self.study, self.data, self.split, self.method, f"seed {self.seed}")
        return "-".join(word.replace(" ", "_") for word in words)


def read(path: Path) -> Tree:
    """A YAML file."""
    return YAML(typ="safe", pure=True).load(path)


def write(tree: Tree, path: Path) -> None:
    """A YAML file."""
    writer = YAML(typ="safe", pure=True)
    writer.dump(tree, path)


def laid_over(*trees: Tree) -> Tree:
    """Trees merged, the later ones on top."""
    merged: Tree = {}
    for tree in trees:
        for key, value in tree.items():
            both = isinstance(value, dict) and isinstance(merged.get(key), dict)
            merged[key] = laid_over(merged[key], value) if both else value
    return merged


def cells(settings: Tree) -> Iterator[Cell]:
    """Every run; what does not depend on the split (a pooled method) is run under the first one only."""
    for seed in settings["seeds"]:  # the first seed of everything, then the second, ...
        for study, parts in settings["studies"].items():
            for data in parts["data"]:
                for split in parts["splits"]:
                    for method, own in parts["methods"].items():
                        config = laid_over(
                            settings["base"],
                            settings["data"][data],
                            settings["splits"][split],
                            parts["base"],
                            settings["methods"][method],
                            own,
                            {"seed": seed},
                        )
                        if split == parts["splits"][0] or not method_of(check_config(config)).pooled:
                            yield Cell(study, data, split, method, seed, config)


def is_finished(cell: Cell, out: Path) -> bool:
    """Whether a cell has run to its end, as its settings are now: a run that is interrupted saves its generator, too.

    Links and speeds may have changed since: the tables work simulated time out anew.

    Raises:
        SystemExit: it was run, but with other settings.
    """
    folder = RunFolder(out / cell.name)
    if not folder.generator.exists():
        return False
    priced_anew = {"channel", "compute", "engine"}
    then, now = (one.model_dump(exclude=priced_anew) for one in (folder.read_config(), check_config(cell.config)))
    if differ := [key for key in now if then[key] != now[key]]:
        raise SystemExit(f"{folder.root} was run with another {', '.join(differ)}: move it away to run it again")
    return read_generator(folder.generator).round == cell.config["rounds"]
