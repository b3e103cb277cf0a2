"""What scripts/chaos.py comes to: a verdict per run, a table per kind of fault."""

import json
import os
import platform
from collections.abc import Iterable
from dataclasses import dataclass
from importlib.metadata import version

from chaos_runs import Run

from raygan.record.folder import RunFolder


@dataclass(frozen=True)
class Outcome:
    """What became of a run."""

    kind: str
    """Of fault."""
    name: str
    """The run's."""
    injected: int
    """Faults that hit."""
    lost: str | None = None
    """Why the run counts as lost: it never came to its end, or not in the way that raygan promises."""
    other_generator: bool = False
    """Whether generator.safetensors differs from the undisturbed run's."""
    other_metrics: bool = False
    """Whether the log does, wall-clock time apart."""
    left: tuple[str, ...] = ()
    """Processes and half-written files left behind."""

    @property
    def is_fine(self) -> bool:
        """Whether it ended as if nothing had happened."""
        return self.lost is None and not (self.other_generator or self.other_metrics or self.left)

    def describe(self) -> str:
        """One line."""
        wrong = [
            *([f"lost: {self.lost}"] if self.lost else []),
            *(["another generator.safetensors"] if self.other_generator else []),
            *(["other metrics"] if self.other_metrics else []),
            *self.left,
        ]
        return f"{self.name}: {self.injected} injected, {'; '.join(wrong) or 'ended as undisturbed'}"


def judge(kind: str, run: Run, undisturbed: RunFolder) -> Outcome:
    """Compare a run that has reached its end with the undisturbed one."""
    generator, expected = run.folder.generator, undisturbed.generator.read_bytes()
    return Outcome(
        kind,
        run.folder.root.name,
        run.injected,
        other_generator=not generator.exists() or generator.read_bytes() != expected,
        other_metrics=_lines(run.folder) != _lines(undisturbed),
        left=(*sorted(run.left), *run.half_files()),
    )


def _lines(folder: RunFolder) -> list[str]:
    return [json.dumps(row | {"wall_s": None, "spent_s": None}) for row in folder.log.rows()]


def passed(outcomes: Iterable[Outcome], kinds: Iterable[str], each: int) -> bool:
    """Whether every run is fine and every kind of fault was injected as often as it was to be."""
    outcomes = list(outcomes)
    injected = {kind: sum(one.injected for one in outcomes if one.kind == kind) for kind in kinds}
    return all(one.is_fine for one in outcomes) and bool(injected) and min(injected.values()) >= each


def table(outcomes: Iterable[Outcome], kinds: Iterable[str], skipped: dict[str, str]) -> str:
    """Markdown: a line per kind of fault."""
    outcomes = list(outcomes)
    lines = [
        "| fault | injected | runs | lost | differing generator.safetensors | differing metrics | left behind |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for kind in kinds:
        if kind in skipped:
            lines.append(f"| {kind} | skipped: {skipped[kind]} | | | | | |")
            continue
        of_kind = [one for one in outcomes if one.kind == kind]
        counts = [
            sum(one.injected for one in of_kind),
            len(of_kind),
            sum(one.lost is not None for one in of_kind),
            sum(one.other_generator for one in of_kind),
            sum(one.other_metrics for one in of_kind),
            sum(len(one.left) for one in of_kind),
        ]
        lines.append(f"| {kind} | {' | '.join(map(str, counts))} |")
    return "\n".join(lines)


def circumstances(seed: int, injected: int, seconds: float) -> str:
    """One line: what was tried, and how long it took."""
    versions = ", ".join(f"{name} {version(name)}" for name in ("raygan", "ray", "torch"))
    return (
        f"{injected} faults in {seconds / 60:.0f} minutes on {os.cpu_count()} cores; seed {seed}; {versions}, "
        f"Python {platform.python_version()}, {platform.system()}."
    )
