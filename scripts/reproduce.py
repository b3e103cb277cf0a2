"""Runs the comparison of methods in reproduction.yaml, cell by cell, and writes its tables and figures.

    python scripts/reproduce.py [--cifar10 FOLDER_OR_TAR] [--only WORD] [--jobs N]

A cell that is finished is not run again, and one that was interrupted goes on from its checkpoint, so the command
can be stopped and repeated. Tables go to docs/results.md between its markers, figures to docs/results/.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from reproduction_cells import MARKERS, Cell, cells, is_finished, read, write
from reproduction_report import write_results

from raygan.config.load import check_config
from raygan.data import load_data
from raygan.errors import InputError

HERE = Path(__file__).parent


def play(cell: Cell, out: Path) -> str | None:
    """Run a cell, or go on with it; returns what went wrong, if anything did."""
    folder = out / cell.name
    if is_finished(cell, out):
        return None
    settings = out / "configs" / f"{cell.name}.yaml"
    settings.parent.mkdir(parents=True, exist_ok=True)
    write(cell.config, settings)
    resume = ["--resume"] if (folder / "config.yaml").exists() else []
    command = [sys.executable, "-m", "raygan.cli", "train", str(settings), "--out", str(folder), *resume]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        return None
    return f"{cell.name}: {(done.stderr.strip().splitlines() or [f'exit status {done.returncode}'])[-1]}"


def play_all(wanted: Sequence[Cell], out: Path, jobs: int) -> list[str]:
    """Run what is missing of these cells, so many at the same time, and say each; returns what went wrong."""
    failures = []
    with ThreadPoolExecutor(jobs) as pool:
        played = pool.map(lambda cell: play(cell, out), wanted)
        for number, (cell, failure) in enumerate(zip(wanted, played, strict=True), start=1):
            print(f"{number}/{len(wanted)} {failure or cell.name}", flush=True)
            failures += [failure] if failure else []
    return failures


def found_wrong(cell: Cell) -> str | None:
    """What is wrong with the images of a cell, if anything is: of one class they could not be measured."""
    config = check_config(cell.config)
    try:
        images = load_data(config.data, config.seed)
    except InputError as error:
        return str(error)
    if len(images.classes) > 1:
        return None
    return " ".join(
        [f"all images are of one class, {images.classes[0]}; a sub-folder per class is needed", *images.notes]
    )


def main() -> int:
    """Run what is missing, then write tables and figures of what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", type=Path, default=HERE / "reproduction.yaml")
    parser.add_argument("--out", type=Path, default=Path("runs/reproduction"), help="where the runs go")
    parser.add_argument("--page", type=Path, default=HERE.parent / "docs" / "results.md", help="page with the markers")
    parser.add_argument("--cifar10", type=Path, help="CIFAR-10 as images, a class per sub-folder (else torchvision's)")
    parser.add_argument("--only", default="", help="run only cells with this in their name")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="runs at the same time")
    arguments = parser.parse_args()
    settings = read(arguments.settings)
    if arguments.page.exists() and not all(marker in arguments.page.read_text() for marker in MARKERS):
        parser.error(f"--page: {arguments.page} lacks the lines {' and '.join(MARKERS)} that the tables go between")
    if arguments.cifar10:
        if "cifar10" not in settings["data"]:
            parser.error(f"--cifar10: {arguments.settings} has no data set cifar10")
        settings["data"]["cifar10"]["data"] |= {"name": "folder", "root": str(arguments.cifar10.resolve())}
    wanted = [cell for cell in cells(settings) if arguments.only in cell.name]
    if arguments.cifar10 and (wrong := next((found_wrong(cell) for cell in wanted if cell.data == "cifar10"), None)):
        parser.error(f"--cifar10: {wrong}")
    failures = play_all(wanted, arguments.out, arguments.jobs)
    finished = [cell for cell in cells(settings) if is_finished(cell, arguments.out)]
    write_results(settings, finished, arguments.out, arguments.page)
    print(f"wrote {arguments.page} and the figures in {arguments.page.with_suffix('')}")
    print(*failures, sep="\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
