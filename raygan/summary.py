"""The command line's summary of a run or sweep, and how to continue it."""

import shlex
import sys
from pathlib import Path
from shutil import which
from typing import TYPE_CHECKING

from rich.console import Console
from rich.text import Text

from raygan.files import is_uri
from raygan.measures import YARDSTICK
from raygan.record.remote import local_folder

if TYPE_CHECKING:
    from raygan.run.result import Result
    from raygan.sweep.tune import SweepOutcome


def say_how_to_go_on(done: str, command: str, where: str | Path, console: Console, how: str = "Go on") -> None:
    """Print how much was `done` of an unfinished run or sweep, and the command that resumes it."""
    console.print(f"{done} {how} with:", highlight=False)
    line = f"  {called()} {command} --out {shlex.quote(str(where))} --resume"
    console.print(line, highlight=False, markup=False, soft_wrap=True)


def say_interrupted(out: str, resume: bool, console: Console) -> None:
    """Print what is left of a run that was interrupted in the middle of a round, and how to go on from it."""
    folder = local_folder(out)
    if any((folder / "checkpoints").glob("*/manifest.json")):
        say_how_to_go_on("Interrupted at once; the last checkpoint is intact.", "train", out, console)
    elif resume and is_uri(out):  # before there was a copy of it
        say_how_to_go_on("Interrupted at once; what is at the URI is as it was.", "train", out, console)
    elif (folder / "config.yaml").is_file():  # otherwise the run had not started
        console.print("Interrupted at once; no checkpoint had been saved.", highlight=False)


def summarise(result: "Result", console: Console) -> None:
    """Print the result of a run: its first and last measurement, and the files to look at."""
    from raygan.report.progress import in_brief

    ended = "rounds done."
    if result.stopped_by is not None:
        ended = (
            f"rounds done, then interrupted; {'that was all of them' if result.complete else 'resume=True goes on'}."
        )
    console.print(f"{result.round} {ended}", highlight=False)
    if evaluations := result.evaluations:
        last = evaluations[-1]
        first = next(row for row in evaluations if all(row.get(fact) == last.get(fact) for fact in YARDSTICK))
        if first is not last:
            console.print(f"  round {first['round']}: {in_brief(first)}", highlight=False)
        console.print(f"  round {last['round']}: {in_brief(last)}", highlight=False)
    console.print(
        f"  run folder: {result.uri or short_path(result.out)}", highlight=False, markup=False, soft_wrap=True
    )
    where = shlex.quote(result.uri or str(short_path(result.out))) + (" --out report.html" if result.uri else "")
    console.print(f"  all of it on a page: {called()} report {where}", highlight=False, markup=False, soft_wrap=True)
    if result.picture is not None:
        console.print("  open this picture:", Text(str(short_path(result.picture)), style="bold"), soft_wrap=True)


def summarise_sweep(outcome: "SweepOutcome", console: Console) -> None:
    """Print the result of a sweep: the best trials, and the files to look at."""
    from raygan.report.sweep.results import summary

    for line in summary(outcome.results):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    if outcome.failed:
        trials = len(outcome.results.table)
        say_how_to_go_on(f"{outcome.failed} of {trials} trials failed.", "tune", outcome.folder, console, "Try again")
    written = [outcome.folder / name for name in ("results.csv", "best.yaml", "report.html")]
    *files, page = [str(short_path(path)) for path in written if path.exists()]
    console.print(f"  {', '.join(files) or page}", highlight=False, markup=False, soft_wrap=True)
    if files:
        console.print("  open this page:", Text(page, style="bold"), soft_wrap=True)


def called() -> str:
    """Returns how to call this command: by its path, if the shell would not find it by name."""
    return "raygan" if which("raygan") else shlex.quote(str(short_path(Path(sys.executable).with_name("raygan"))))


def short_path(path: Path) -> Path:
    """Returns a path as short as possible from the working folder."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
