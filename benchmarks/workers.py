"""What forked workers save: starting, memory, losses, sweeps and the demo, beside workers that each import torch.

    python benchmarks/workers.py [--devices 10 24] [--many 100] [--turns 3] [--parts start loss ...] [--json FILE]

Both ways (`engine.workers=fork` and `spawn`) take turns, each in a process of its own. A line has the medians and their
ratio. `start` is from the command of an engine of benchmarks/engines.py, an actor per device, to its first round, and
the private memory of all its processes then. `--many` devices are forked only: 50 rounds of them. `loss` is from the
death of a device's process to the next row, `sweep` eight short trials with actors, `demo` the README's first command.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from statistics import median
from time import monotonic, perf_counter, sleep

from engine import HERE, EngineProcess
from layout import lay_out
from memory import Memory
from work import Work, WorkFolder

from tests.processes import descendants

WAYS = ("fork", "spawn")
RAYGAN = [sys.executable, "-m", "raygan.cli"]
Figures = dict[str, float]
SWEEP = """
base: digits
config: {rounds: 10, devices: 3, eval: {every: 10, samples: 200}}
space: {seed: {grid_search: [0, 1, 2, 3, 4, 5, 6, 7]}}
concurrent: 2
"""


def start(way: str, devices: int, rounds: int = 0) -> Figures:
    """Start an engine with an actor for each device."""
    with tempfile.TemporaryDirectory(prefix="raygan-workers-") as root:
        folder = WorkFolder(Path(root))
        lay_out(Work(devices, 1), folder)
        engine = EngineProcess("actors", [sys.executable, str(HERE / "engine_raygan.py"), f"actors:{way}"], folder.root)
        try:
            figures = {"first round, s": engine.startup_s, "private, GB": Memory(engine.pid).total / 1e9}
            if rounds:
                figures[f"{rounds} rounds, s"] = engine.play(rounds).seconds
                figures["private at the end, GB"] = Memory(engine.pid).total / 1e9
            return figures
        finally:
            engine.close()


def loss(way: str) -> Figures:
    """Kill a device's process in a run, and wait for the next row of the log behind the checkpoint it goes back to."""
    with tempfile.TemporaryDirectory(prefix="raygan-workers-") as root:
        out = Path(root) / "run"
        words = ["digits", "rounds=100000", "eval.every=100000", "checkpoint.every=5", f"engine.workers={way}"]
        run = subprocess.Popen([*RAYGAN, "train", *words, "--out", str(out)], stdout=subprocess.DEVNULL)
        try:
            _until(lambda: _rows(out) > 40)
            victims = [one for one in descendants(run.pid) if one.cmdline()[:1] and "WorkerActor" in one.cmdline()[0]]
            before = _inode(out)
            victims[1].kill()
            since = perf_counter()
            _until(lambda: _inode(out) != before)  # the log was cut at the checkpoint
            cut = _rows(out)
            _until(lambda: _rows(out) > cut)
            return {"loss to next row, s": perf_counter() - since}
        finally:
            run.send_signal(signal.SIGINT)
            run.wait()


def _rows(out: Path) -> int:
    path = out / "rounds.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def _inode(out: Path) -> int:
    return (out / "rounds.jsonl").stat().st_ino


def _until(there: Callable[[], bool]) -> None:
    deadline = monotonic() + 300
    while not there():
        if monotonic() > deadline:
            raise TimeoutError("nothing happened for 300 s")
        sleep(0.01)


def sweep(way: str) -> Figures:
    """Play eight short trials, two at once."""
    with tempfile.TemporaryDirectory(prefix="raygan-workers-") as root:
        (path := Path(root) / "sweep.yaml").write_text(SWEEP)
        return {"sweep, s": _seconds("tune", str(path), f"engine.workers={way}", "--out", f"{root}/sweep")}


def demo(way: str) -> Figures:
    """Play the preset `digits` to its end."""
    with tempfile.TemporaryDirectory(prefix="raygan-workers-") as root:
        return {"demo, s": _seconds("train", "digits", f"engine.workers={way}", "--out", f"{root}/run")}


def _seconds(*words: str) -> float:
    since = perf_counter()
    subprocess.run([*RAYGAN, *words], check=True, stdout=subprocess.DEVNULL)
    return perf_counter() - since


def in_turns(name: str, play: Callable[[str], Figures], turns: int) -> dict[str, dict[str, list[float]]]:
    """Play both ways in turns; prints the medians, and returns all figures by their name and way."""
    seen: dict[str, dict[str, list[float]]] = {}
    for turn in range(turns):
        for way in WAYS if turn % 2 else reversed(WAYS):
            for what, figure in play(way).items():
                seen.setdefault(f"{name}: {what}" if name else what, {}).setdefault(way, []).append(figure)
    for what, figures in seen.items():
        forked, spawned = (median(figures[way]) for way in WAYS)
        print(f"{what}: {forked:.2f} forked, {spawned:.2f} spawned, ratio {forked / spawned:.2f}", flush=True)
    return seen


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, nargs="*", default=[10, 24], help="numbers of devices to start")
    parser.add_argument("--many", type=int, default=100, help="a number to start forked only (0: none)")
    parser.add_argument("--turns", type=int, default=3, help="of each way")
    parser.add_argument("--parts", nargs="+", choices=["start", "loss", "sweep", "demo"], help="all by default")
    parser.add_argument("--json", type=Path, metavar="FILE", help="where all figures go")
    asked = parser.parse_args()
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    parts, seen = asked.parts or ["start", "loss", "sweep", "demo"], {}
    if "start" in parts:
        for devices in asked.devices:
            seen |= in_turns(f"{devices} devices", lambda way, devices=devices: start(way, devices), asked.turns)
        if asked.many:
            many = start("fork", asked.many, rounds=50)
            print(f"{asked.many} devices, forked:", ", ".join(f"{what} {figure:.2f}" for what, figure in many.items()))
            seen[f"{asked.many} devices"] = {what: [figure] for what, figure in many.items()}
    for name, play in (("loss", loss), ("sweep", sweep), ("demo", demo)):
        if name in parts:
            seen |= in_turns("", play, asked.turns)
    if asked.json is not None:
        asked.json.write_text(json.dumps(seen, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
