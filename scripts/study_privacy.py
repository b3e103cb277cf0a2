"""Quality against epsilon: user-level privacy of a population and of ten devices, record-level privacy of ten silos.

    python scripts/study_privacy.py [--only WORD] [--jobs N]

Reads study_privacy.yaml beside it and runs each cell that is not finished yet: stop it and repeat it at will. A cell
that is left out, as by --only, is left out of the table too, which goes to docs/privacy.md between its markers.
"""

import argparse
import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from reproduce import play_all
from reproduction_cells import Cell, Tree, cells, is_finished, read
from reproduction_report import put_between, ratios, shown, shown_ratio, table

from raygan.report.curves import read_runs

HERE = Path(__file__).parent
MARKERS = ("<!-- written by scripts/study_privacy.py: begin -->", "<!-- study_privacy: end -->")
MEASURES = {"mixture": ["sliced_wasserstein", "modes_found", "high_quality"], "digits": ["fd_clf"]}
"""What is told of the last generator of each data set; the first is compared with that of the run without privacy."""
Values = dict[str, float]
Group = tuple[str, str, str]
"""Study, data set, split."""
Measured = dict[Group, dict[str, dict[int, Values]]]
"""By group, setting and seed."""


def measured(folder: Path, data: str) -> Values:
    """The moving average of a run's last generator, and epsilon if there is one."""
    (run,) = read_runs([folder])
    values = {name: float(run.curve[name].iloc[-1]) for name in MEASURES[data]}
    epsilon = run.folder.log.rows()[-1].get("epsilon")
    return values if epsilon is None else values | {"epsilon": float(epsilon)}


def collected(done: Iterable[Cell], out: Path) -> Measured:
    """What all finished runs came to."""
    values: Measured = {}
    for cell in done:
        group = values.setdefault((cell.study, cell.data, cell.split), {})
        group.setdefault(cell.method, {})[cell.seed] = measured(out / cell.name, cell.data)
    return values


def rows(settings: Tree, values: Measured) -> Iterator[list[str]]:
    """A line per setting, in the order of the settings."""
    for (study, data, split), by_setting in values.items():
        for setting in settings["studies"][study]["methods"]:
            if not (seeds := by_setting.get(setting)):
                continue
            epsilon = next(iter(seeds.values())).get("epsilon")
            names = MEASURES[data]
            quality = [f"{name} {shown([one[name] for one in seeds.values()])}" for name in names]
            base = by_setting.get(settings["baseline"], {})
            compared = "" if setting == settings["baseline"] else shown_ratio(ratios(seeds, base, names[0]))
            told = "no bound" if epsilon is None else f"{epsilon:.3g}"
            yield [study, f"{data}, {split}", setting, told, str(len(seeds)), ", ".join(quality), compared]


def main() -> int:
    """Run what is missing, then write the table of what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", type=Path, default=HERE / "study_privacy.yaml")
    parser.add_argument("--out", type=Path, default=Path("runs/privacy"), help="where the runs go")
    parser.add_argument("--page", type=Path, default=HERE.parent / "docs" / "privacy.md", help="page with the markers")
    parser.add_argument("--only", default="", help="run only cells with this in their name")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="runs at the same time")
    arguments = parser.parse_args()
    settings = read(arguments.settings)
    every = list(cells(settings))
    wanted = [cell for cell in every if arguments.only in cell.name]
    failures = play_all(wanted, arguments.out, arguments.jobs)
    if done := [cell for cell in every if is_finished(cell, arguments.out)]:
        head = ["study", "data", "setting", "epsilon", "seeds", "quality", "first of these against `none`"]
        lines = ["", f"{len(done)} of {len(every)} runs.", ""]
        put_between(MARKERS, [*lines, *table(head, rows(settings, collected(done, arguments.out))), ""], arguments.page)
        print(f"wrote {arguments.page}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
