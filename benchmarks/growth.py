"""How a round's seconds and memory grow: with the devices, the networks' size, and the devices of a round.

    python benchmarks/growth.py [--out FOLDER] [--quick] [--stacked N]
    python benchmarks/growth.py --draw FOLDER/growth.json

Plays short runs of DCGANs on 1x32x32 images of noise, devices packed in two actors, one local step of a batch of 32
and one generator step a round, each device keeping its Adam state: more and more devices (with local steps, and without
device work), larger and larger networks, more and more devices of a population selected for a round. Then fits what
should be linear (see growth_model.py), prints the tables, and leaves them in FOLDER with growth.json and growth.png;
`--draw` does that with points measured before. All runs use one Ray; times are of rounds as a run plays them, nothing
evaluated or saved meanwhile.
"""

import argparse
import gc
import json
import logging
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import fmean
from time import perf_counter

import ray
from growth_model import ACTORS, MODELS, Point
from growth_report import write_report
from memory import Memory, peak
from rounds import BLOCKS, KEPT, NORMS, Block, Player, images, median_spent, networks, playing
from store import held_bytes
from tables import machine

from raygan.config import load_config

SAMPLES = 32
"""Images on each device: a batch."""
SAVED = 1000
"""Devices, at most, of the runs that end with a checkpoint: one of more takes minutes."""
FULL = {
    "devices": [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000],
    "widths": [4, 8, 16, 32, 64],
    "selected": [1, 3, 10, 30, 100, 300, 1000],
    "population": 5000,
    "seconds": 6.0,
}
QUICK = {"devices": [2, 20, 200], "widths": [4, 32], "selected": [1, 100], "population": 500, "seconds": 1.0}
COUNTED = ["compute={device_flops: 1, server_flops: 1}"]
"""At a FLOP per second, the simulated clock tells the FLOPs."""


@dataclass(frozen=True)
class Case:
    """A run to be played."""

    sweep: str
    devices: int
    width: int = 16
    selected: int | None = None
    """Devices of a round; None: all."""

    def words(self) -> list[str]:
        """Of its config."""
        method = "idle:Idle" if self.sweep == "idle" else "averaged"
        work = [f"method={method}", "schedule=serial", "device_steps=1", "generator_steps=1", "batch_size=32"]
        some = [] if self.selected is None else ["selection.name=uniform", f"selection.count={self.selected}"]
        return [*work, *some, *networks(self.width), *NORMS, *KEPT, *COUNTED, f"devices={self.devices}"]


def cases(asked: argparse.Namespace) -> Iterator[Case]:
    """All runs of the sweeps."""
    for sweep in ("steps", "idle"):
        yield from (Case(sweep, devices) for devices in asked.devices)
    yield from (Case("networks", 10, width=width) for width in asked.widths)
    yield from (Case("selected", asked.population, selected=selected) for selected in asked.selected)


def measured(case: Case, folder: Path, seconds: float, layout: list[str]) -> Point:
    """Play a case for about so long. `layout`: words that say what plays it."""
    gc.collect()  # what the last run held
    start = perf_counter()
    words = [*case.words(), *images(folder, case.devices * SAMPLES, 32), *layout]
    with playing(load_config(None, words), folder / "run") as player:
        player.wait_until_quiet()
        opened = perf_counter() - start
        before, blocks = play(player, seconds)
        memory, stored = Memory(), held_bytes() if ray.is_initialized() else 0
        saving = saved(player) if case.sweep == "steps" and case.devices <= SAVED else None
    rounds = [one for block in blocks for one in block.simulated]
    together = player.run.config.engine.devices_per_actor
    return Point(
        sweep=case.sweep,
        devices=case.devices,
        selected=len(rounds[0].devices),
        width=case.width,
        parameters=player.run.setup.problem.update_size,
        update_bytes=rounds[0].bytes_up // len(rounds[0].devices),
        device_flops=rounds[0].phases.device,
        server_flops=rounds[0].phases.server,
        busiest=fmean(most_of_one_actor(one.devices, together) for one in rounds),
        took_part=len({device for block in [*before, *blocks] for one in block.simulated for device in one.devices}),
        open_s=opened,
        blocks_s=[block.s_per_round for block in blocks],
        spent_s=median_spent(blocks),
        private=dict(memory.private),
        store_bytes=stored,
        saving=saving,
    )


def saved(player: Player) -> dict[str, int]:
    """A checkpoint's size, and memory at the most while it is written (bytes)."""
    with peak() as most:
        player.save()
    (checkpoint,) = player.run.folder.checkpoints.iterdir()
    size = sum(path.stat().st_size for path in checkpoint.iterdir())
    return {"checkpoint": size, "private": most.private, "stored": most.stored}


def play(player: Player, seconds: float) -> tuple[list[Block], list[Block]]:
    """Blocks that take so long in all, or one round if that takes longer; before them, what is slow only once."""
    before, rounds = player.warm_up(seconds)
    blocks: list[Block] = []
    while len(blocks) < BLOCKS and sum(block.seconds for block in blocks) < seconds:
        blocks.append(player.block(rounds))
    return before, blocks


def most_of_one_actor(devices: list[int], together: int) -> int:
    """How many of a round's devices the busiest actor has, of actors with so many in all."""
    return max(Counter(device // together for device in devices).values())


def measure(asked: argparse.Namespace, out: Path) -> list[Point]:
    """All cases on one Ray; growth.json is written after each."""
    ray.init(
        "local",
        num_cpus=2 * (ACTORS + 1),  # as the actors of the last run may not be gone when the next one starts
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    points: list[Point] = []
    for case in cases(asked):
        with tempfile.TemporaryDirectory(prefix="raygan-growth-") as folder:
            groups = -(-case.devices // (ACTORS * asked.stacked))  # of an actor
            layout = [f"engine.devices_per_actor={groups * asked.stacked}", f"engine.stacked={asked.stacked}"]
            point = measured(case, Path(folder), asked.seconds, layout)
        points.append(point)
        print(
            f"{point.sweep}: {point.selected} of {point.devices} devices, width {point.width}: "
            f"{point.seconds:.3f} s a round, {point.memory / 1e6:,.0f} MB private ({point.open_s:.0f} s to open)",
            flush=True,
        )
        (out / "growth.json").write_text(json.dumps(as_json(points), indent=2), encoding="utf-8")
    return points


def as_json(points: list[Point]) -> dict[str, object]:
    """Everything, in plain units: seconds, bytes, FLOPs."""
    fits = {model.what: model.fit(points) for model in MODELS}
    return {
        "machine": machine(),
        "versions": {name: version(name) for name in ("raygan", "ray", "torch")},
        "fits": {what: asdict(fit) for what, fit in fits.items() if fit is not None},
        "points": [asdict(point) for point in points],
    }


def read(path: Path) -> list[Point]:
    """The points of a growth.json."""
    return [Point(**point) for point in json.loads(path.read_text(encoding="utf-8"))["points"]]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.set_defaults(**FULL)
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="where all goes (default: growth)")
    parser.add_argument("--draw", type=Path, metavar="JSON", help="measure nothing: report these points")
    parser.add_argument("--quick", action="store_true", help="ten small points: two to three minutes")
    parser.add_argument("--devices", type=int, nargs="*", help="numbers of devices")
    parser.add_argument("--widths", type=int, nargs="*", help="widths of both networks, for ten devices")
    parser.add_argument("--selected", type=int, nargs="*", help="numbers of selected devices")
    parser.add_argument("--population", type=int, help="devices that they are selected from")
    parser.add_argument("--stacked", type=int, default=1, help="devices that update as one computation")
    parser.add_argument("--seconds", type=float, help="how long each point is played, about")
    if parser.parse_args().quick:
        parser.set_defaults(**QUICK)
    return parser.parse_args()


def main() -> None:
    """Measure or read, and report."""
    asked = _arguments()
    out = asked.out or (asked.draw.parent if asked.draw else Path("growth"))
    out.mkdir(parents=True, exist_ok=True)
    points = read(asked.draw) if asked.draw else measure(asked, out)
    print("", write_report(points, out), sep="\n")


if __name__ == "__main__":
    main()
