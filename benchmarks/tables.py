"""What benchmarks/engines.py leaves behind: tables in Markdown, and JSON."""

import os
import platform
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import psutil
from measure import Measured
from step import StepResult
from work import Work

HEADLINE = (10, 1)
"""Devices and local steps of the case whose engines stand at the top of the JSON, if it was played."""
CAPTION = """\
Start-up: from starting the engine's process, imports included, until its first round is over (for raygan with config,
data, checks, a trial round and the actors). Seconds a round: median (least to most) over blocks of rounds. Over the
floor: medians over pairs of neighbouring blocks. Memory: peaks while rounds are played, summed over the engine's
processes; private is what only one of them has (USS), shared their part of what several have, such as libraries and
the object store (PSS less USS). Store: bytes created in Ray's object store. Difference: the largest of any value
between the engine's and the floor's global discriminator after three rounds."""
COLUMNS = {
    "engine": "---",
    "start-up, s": "---:",
    "s a round": "---:",
    "over the floor": "---:",
    "ms over it a device": "---:",
    "device updates/s": "---:",
    "private, MB": "---:",
    "shared, MB": "---:",
    "store, MB a round": "---:",
    "difference": "---:",
}


@dataclass(frozen=True)
class Case:
    """A work, and what was seen of each engine on it."""

    work: Work
    engines: dict[str, Measured]

    @property
    def title(self) -> str:
        """What was played."""
        steps = {0: "no work", 1: "1 local step"}.get(self.work.steps, f"{self.work.steps} local steps")
        return f"{self.work.devices} devices, {steps}"

    def table(self) -> str:
        """In Markdown."""
        rows = [list(COLUMNS), list(COLUMNS.values()), *(_row(name, seen) for name, seen in self.engines.items())]
        return "\n".join([f"### {self.title}", "", *_lines(rows), *self._breakdown()])

    def _breakdown(self) -> list[str]:
        """Where raygan's rounds spend their time."""
        told = {name: seen.spent_s for name, seen in self.engines.items() if seen.spent_s is not None}
        if not told:
            return []
        phases = list(next(iter(told.values())))
        rows = [["ms of a round", *phases, "outside compute"], ["---", *["---:"] * (len(phases) + 1)]]
        for name, spent in told.items():
            whole = sum(spent.values())
            outside = 1 - (spent["devices"] + spent["server"]) / whole
            rows.append([name, *(f"{1000 * spent[phase]:.1f}" for phase in phases), f"{outside:.1%}"])
        return ["", *_lines(rows)]


def _lines(rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(row)} |" for row in rows]


def _row(name: str, seen: Measured) -> list[str]:
    least, most = seen.s_per_round_range
    stored = "-" if seen.store_bytes_per_round is None else f"{seen.store_bytes_per_round / 1e6:.2f}"
    return [
        name,
        f"{seen.startup_s:.1f}",
        f"{seen.s_per_round:.3f} ({least:.3f}-{most:.3f})",
        f"{seen.overhead_over_floor:.2f}x",
        f"{seen.ms_over_floor_per_device:+.2f}",
        f"{seen.device_updates_per_s:.1f}",
        f"{seen.peak_private_mb:.0f}",
        f"{seen.shared_mb:.0f}",
        stored,
        f"{seen.difference:.0e}",
    ]


def step_line(step: StepResult) -> str:
    """The comparison of steps, in a sentence."""
    return (
        f"raygan's step takes {step.ratio_to_plain:.2f} of the hand-written one's time "
        f"({step.ms:.1f} and {step.plain_ms:.1f} ms); after one step they differ by {step.difference:.0e}"
    )


def as_json(cases: list[Case], step: StepResult) -> dict[str, object]:
    """Everything; `engines` are those of the headline case, or of the first one if that was not played."""
    headline = next((case for case in cases if (case.work.devices, case.work.steps) == HEADLINE), cases[0])
    return {
        "machine": machine(),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in ("raygan", "ray", "torch")},
        },
        "command": sys.argv,
        "headline": headline.title,
        "engines": {name: asdict(seen) for name, seen in headline.engines.items()},
        "step": asdict(step),
        "cases": [asdict(case) for case in cases],
    }


def machine() -> dict[str, object]:
    """What was measured on."""
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
    }


def _processor() -> str:
    """The model, where the system tells it; Python itself mostly knows no more than the architecture."""
    info = Path("/proc/cpuinfo")
    lines: Iterable[str] = info.read_text(encoding="utf-8").splitlines() if info.exists() else ()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor()
