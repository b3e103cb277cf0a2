"""What class conditions, R1 and DiffAugment do where devices hold all classes, or two: the runs of docs/results.md.

    python scripts/study_conditions.py [--data digits fashion_mnist] [--only WORD] [--jobs N]

Reads study_conditions.yaml beside it and runs each cell that is not finished yet: stop it and repeat it at will. A data
set that is neither here nor to be downloaded is named and left out. The table goes to docs/results.md between its
markers, the pictures to docs/results/. What the page has of more runs than are finished here stays on it.
"""

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from reproduce import play_all
from reproduction_cells import Cell, Tree, cells, is_finished, laid_over, read
from reproduction_report import draw_grids, picture_of, put_between, ratios, shown, shown_ratio, table

from raygan.config import Config
from raygan.config.load import check_config
from raygan.data import ImageSet, load_data
from raygan.errors import InputError
from raygan.evaluation.evaluator import Evaluator
from raygan.record.folder import RunFolder
from raygan.record.generator_file import read_generator

HERE = Path(__file__).parent
MARKERS = ("<!-- written by scripts/study_conditions.py: begin -->", "<!-- study_conditions: end -->")
Values = dict[str, float]
Group = tuple[str, str, str]
"""Study, data set, split."""
Measured = dict[Group, dict[str, dict[int, Values]]]
"""By group, setting and seed."""
Rows = dict[Group, list[list[str]]]
"""Cells of the table's lines by group."""
COLUMNS = {"fd_clf": "FD-clf", "fd_clf_classes": "FD-clf by class", "class_accuracy": "of the class asked for"}
HEAD = ["study", "data", "split", "setting", "seeds", *COLUMNS.values(), "FD-clf against another setting's"]


def whole(settings: Tree, names: Iterable[str]) -> dict[str, tuple[Config, ImageSet]]:
    """The data sets that can be had, each with a config; the others are named."""
    found = {}
    for name in names:
        config = check_config(laid_over(settings["base"], settings["data"][name]))
        try:
            found[name] = config, load_data(config.data, config.seed)
        except InputError as error:
            print(f"{name} is left out: {error}", flush=True)
    return found


def measured(run: RunFolder, seed: int, config: Config, images: ImageSet) -> Values:
    """The moving average of a run's last generator, against all images: the run may have trained on a part of them."""
    trained = read_generator(run.generator, "ema", None)
    evaluator = Evaluator(config.model_copy(update={"gan": trained.gan, "seed": seed}), images)
    found = evaluator.measure(trained.network.module)
    return {name: value for name, value in found.items() if name in COLUMNS and isinstance(value, float)}


def result_rows(settings: Tree, values: Measured) -> Rows:
    """Where the runs end, and how each setting compares with the one that it is set beside."""
    rows: Rows = {}
    for group, by_setting in values.items():
        for setting, seeds in by_setting.items():
            columns = [shown([one[name] for one in seeds.values() if name in one]) for name in COLUMNS]
            other = settings["compared_with"].get(setting, "")
            compared = shown_ratio(ratios(seeds, by_setting.get(other, {}), "fd_clf"))
            row = [*group, setting, str(len(seeds)), *columns, f"{compared} of {other}" if other else ""]
            rows.setdefault(group, []).append(row)
    return rows


def runs_of(rows: list[list[str]]) -> int:
    """How many runs some lines of the table are of."""
    return sum(int(row[HEAD.index("seeds")]) for row in rows)


def written(page: Path) -> tuple[Rows, dict[str, str]]:
    """The lines of the table that a page has, and its pictures' lines by file name."""
    text = page.read_text(encoding="utf-8") if page.exists() else "".join(MARKERS)
    lines = text.split(MARKERS[0])[1].split(MARKERS[1])[0].splitlines()
    rows: Rows = {}
    for line in lines:
        cells_of_line = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells_of_line) == len(HEAD) and cells_of_line[HEAD.index("seeds")].isdigit():
            study, data, split, *_ = cells_of_line
            rows.setdefault((study, data, split), []).append(cells_of_line)
    return rows, {Path(line.rpartition("(")[2].rstrip(")")).name: line for line in lines if line.startswith("![")}


def write_results(
    settings: Tree, done: list[Cell], data: dict[str, tuple[Config, ImageSet]], out: Path, page: Path
) -> None:
    """Put the table between the page's markers, and pictures of the first seed into the folder named like the page.

    A group (study, data set, split) of which the page has more runs than `done` has keeps its lines and its picture.
    """
    values: Measured = {}
    folders: dict[Group, dict[str, dict[int, RunFolder]]] = {}
    for cell in done:
        group, folder = (cell.study, cell.data, cell.split), RunFolder(out / cell.name)
        found = measured(folder, cell.seed, *data[cell.data])
        values.setdefault(group, {}).setdefault(cell.method, {})[cell.seed] = found
        folders.setdefault(group, {}).setdefault(cell.method, {})[cell.seed] = folder
    here, (before, pictures) = result_rows(settings, values), written(page)
    kept = {group: rows for group, rows in before.items() if runs_of(rows) > runs_of(here.get(group, []))}
    figures = page.with_suffix("")
    figures.mkdir(parents=True, exist_ok=True)
    drawn = draw_grids({group: folders[group] for group in folders if group not in kept}, figures, parts=1)
    pictures |= {path.name: f"![Samples: {name}]({figures.name}/{path.name})" for name, path in drawn}
    rows = here | kept
    ordered = [(group, rows[group]) for group in groups(settings) if group in rows]
    lines = [f"{sum(runs_of(some) for _, some in ordered)} runs.", ""]
    lines += table(HEAD, [row for _, some in ordered for row in some])
    for group, _ in ordered:
        lines += ["", *(line for name, line in pictures.items() if name == picture_of(group))]
    put_between(MARKERS, lines, page)


def groups(settings: Tree) -> Iterator[Group]:
    """In the order of the settings."""
    for study, parts in settings["studies"].items():
        for data in parts["data"]:
            for split in parts["splits"]:
                yield study, data, split


def main() -> int:
    """Run what is missing, then write the tables of what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", type=Path, default=HERE / "study_conditions.yaml")
    parser.add_argument("--data", nargs="+", help="data sets of the settings (default: all)")
    parser.add_argument("--out", type=Path, default=Path("runs/conditions"), help="where the runs go")
    parser.add_argument("--page", type=Path, default=HERE.parent / "docs" / "results.md", help="page with the markers")
    parser.add_argument("--only", default="", help="run only cells with this in their name")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="runs at the same time")
    arguments = parser.parse_args()
    settings = read(arguments.settings)
    if unknown := set(arguments.data or ()) - settings["data"].keys():
        parser.error(f"--data: {', '.join(unknown)} is not known; known: {', '.join(settings['data'])}")
    asked = arguments.data or list(settings["data"])
    here = whole(settings, asked)
    every = [cell for cell in cells(settings) if cell.data in here]
    wanted = [cell for cell in every if arguments.only in cell.name]
    failures = play_all(wanted, arguments.out, arguments.jobs)
    if done := [cell for cell in every if is_finished(cell, arguments.out)]:
        write_results(settings, done, here, arguments.out, arguments.page)
        print(f"wrote {arguments.page} and the pictures in {arguments.page.with_suffix('')}")
    return 1 if failures or len(here) < len(asked) else 0


if __name__ == "__main__":
    sys.exit(main())
