"""How a round's seconds and memory grow: with the devices, the networks' size, and the devices of a round.

    python benchmarks/growth.py [--out FOLDER] [--quick] [--points K ...] [--stacked N]
    python benchmarks/growth.py --draw FOLDER/growth.json

Plays short runs of DCGANs on 1x32x32 images of noise, devices packed in two actors, one local step of a batch of 32
and one generator step a round, each device keeping its Adam state: more and more devices (with local steps, and without
device work), larger and larger networks, more and more devices of a population selected for a round. Then MLPs of 2-D
points (the networks of the preset gaussians) on more and more devices, one by one and N stacked at a time
(`engine.stacked`), which take turns, block by block. Then fits what should be linear (see growth_model.py), prints the
tables, and leaves them in FOLDER with growth.json and growth.png; `--draw` does that with points measured before. All
runs use one Ray; times are of rounds as a run plays them, nothing evaluated or saved meanwhile.
"""

import argparse
import gc
import json
import logging
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
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
"""Samples on each device: a batch."""
SAVED = 1000
"""Devices, at most, of the runs that end with a checkpoint: one of more takes minutes."""
FULL = {
    "devices": [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000],
    "widths": [4, 8, 16, 32, 64],
    "selected": [1, 3, 10, 30, 100, 300, 1000],
    "population": 5000,
    "points": [10, 20, 50, 100, 200, 500, 1000, 2000],
    "seconds": 6.0,
}
QUICK = {
    "devices": [2, 20, 200],
    "widths": [4, 32],
    "selected": [1, 100],
    "population": 500,
    "points": [20],
    "seconds": 1.0,
}
COUNTED = ["compute={device_flops: 1, server_flops: 1}"]
"""At a FLOP per second, the simulated clock tells the FLOPs."""
MLPS = ["gan.generator=mlp", "gan.discriminator=mlp", "gan.latent=8"]


@dataclass(frozen=True)
class Case:
    """A run to be played."""

    sweep: str
    devices: int
    width: int = 16
    selected: int | None = None
    """Devices of a round; None: all."""
    stacked: int = 1
    """Devices that update as one computation."""

    @property
    def of_points(self) -> bool:
        """Whether it plays MLPs of points, not DCGANs of images."""
        return self.sweep in ("points", "stacked")

    def words(self) -> list[str]:
        """Of its config."""
        method = "idle:Idle" if self.sweep == "idle" else "averaged"
        work = [f"method={method}", "schedule=serial", "device_steps=1", "generator_steps=1", "batch_size=32"]
        some = [] if self.selected is None else ["selection.name=uniform", f"selection.count={self.selected}"]
        mine = [*networks(self.width), *(MLPS if self.of_points else []), *NORMS, *KEPT, *COUNTED]
        return [*work, *some, *mine, f"devices={self.devices}", f"engine.stacked={self.stacked}"]

    def data(self, folder: Path) -> list[str]:
        """Of its config, about the data, which may be put into a folder."""
        count = self.devices * SAMPLES
        return ["data.name=gaussians", f"data.samples={count}"] if self.of_points else images(folder, count, 32)


def cases(asked: argparse.Namespace) -> Iterator[list[Case]]:
    """All runs of the sweeps, those together that take turns."""
    for sweep in ("steps", "idle"):
        yield from ([Case(sweep, devices)] for devices in asked.devices)
    yield from ([Case("networks", 10, width=width)] for width in asked.widths)
    yield from ([Case("selected", asked.population, selected=selected)] for selected in asked.selected)
    for devices in asked.points:
        group = min(asked.stacked, -(-devices // ACTORS))  # so that all actors have work
        yield [Case("points", devices, 64), Case("stacked", devices, 64, stacked=group)]


def measured(case: Case, folder: Path, seconds: float, layout: list[str]) -> Point:
    """Play a case for about so long. `layout`: words that say what plays it."""
    with opened(case, folder, layout) as (player, open_s):
        ((before, blocks),) = play([player], seconds)
        private, stored = dict(Memory().private), held_bytes() if ray.is_initialized() else 0
        saving = saved(player) if case.sweep == "steps" and case.devices <= SAVED else None
    return replace(point(case, player, open_s, before, blocks), private=private, store_bytes=stored, saving=saving)


def measured_in_turns(turns: Sequence[Case], folder: Path, seconds: float, layouts: Sequence[list[str]]) -> list[Point]:
    """Play cases for about so long each, block by block in turns. Their memory is not told apart, so it is left out."""
    with ExitStack() as stack:
        players = [
            stack.enter_context(opened(case, folder / str(number), layout))
            for number, (case, layout) in enumerate(zip(turns, layouts, strict=True))
        ]
        played = play([player for player, _ in players], seconds)
    return [
        point(case, player, open_s, before, blocks)
        for case, (player, open_s), (before, blocks) in zip(turns, players, played, strict=True)
    ]


@contextmanager
def opened(case: Case, folder: Path, layout: list[str]) -> Iterator[tuple[Player, float]]:
    """A case that is ready to be played, and how long that took."""
    gc.collect()  # what the last run held
    start = perf_counter()
    folder.mkdir(exist_ok=True)
    with playing(load_config(None, [*case.words(), *case.data(folder), *layout]), folder / "run") as player:
        player.wait_until_quiet()
        yield player, perf_counter() - start


def point(case: Case, player: Player, open_s: float, before: list[Block], blocks: list[Block]) -> Point:
    """What a case came to, but for its memory."""
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
        open_s=open_s,
        blocks_s=[block.s_per_round for block in blocks],
        spent_s=median_spent(blocks),
        private={},
        store_bytes=0,
        stacked=case.stacked,
    )


def saved(player: Player) -> dict[str, int]:
    """A checkpoint's size, and memory at the most while it is written (bytes)."""
    with peak() as most:
        player.save()
    (checkpoint,) = player.run.folder.checkpoints.iterdir()
    size = sum(path.stat().st_size for path in checkpoint.iterdir())
    return {"checkpoint": size, "private": most.private, "stored": most.stored}


def play(players: Sequence[Player], seconds: float) -> list[tuple[list[Block], list[Block]]]:
    """Play blocks in turns that take so long in all, for each; or one round if that takes longer.

    Returns, of each, blocks in which that is slow that is so only once, and those after them.
    """
    warm = [player.warm_up(seconds) for player in players]
    blocks: list[list[Block]] = [[] for _ in players]
    while len(blocks[0]) < BLOCKS and sum(block.seconds for block in blocks[0]) < seconds:
        for player, (_, rounds), mine in zip(players, warm, blocks, strict=True):
            mine.append(player.block(rounds))
    return [(before, mine) for (before, _), mine in zip(warm, blocks, strict=True)]


def most_of_one_actor(devices: list[int], together: int) -> int:
    """How many of a round's devices the busiest actor has, of actors with so many in all."""
    return max(Counter(device // together for device in devices).values())


def measure(asked: argparse.Namespace, out: Path) -> list[Point]:
    """All cases on one Ray; growth.json is written after each."""
    at_once = 2 if asked.points else 1
    ray.init(
        "local",
        num_cpus=2 * at_once * (ACTORS + 1),  # as the actors of the last run may not be gone when the next one starts
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    points: list[Point] = []
    for turns in cases(asked):
        with tempfile.TemporaryDirectory(prefix="raygan-growth-") as folder:
            layouts = [packed(case) for case in turns]
            if len(turns) == 1:
                found = [measured(turns[0], Path(folder), asked.seconds, layouts[0])]
            else:
                found = measured_in_turns(turns, Path(folder), asked.seconds, layouts)
        points += found
        for one in found:
            print(
                f"{one.sweep}: {one.selected} of {one.devices} devices, width {one.width}: "
                f"{one.seconds:.3f} s a round, {one.memory / 1e6:,.0f} MB private ({one.open_s:.0f} s to open)",
                flush=True,
            )
        (out / "growth.json").write_text(json.dumps(as_json(points), indent=2), encoding="utf-8")
    return points


def packed(case: Case) -> list[str]:
    """Words that split the devices between the actors."""
    groups = -(-case.devices // (ACTORS * case.stacked))  # of an actor
    return [f"engine.devices_per_actor={groups * case.stacked}"]


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
    parser.add_argument("--quick", action="store_true", help="twelve small points: three minutes")
    parser.add_argument("--devices", type=int, nargs="*", help="numbers of devices")
    parser.add_argument("--widths", type=int, nargs="*", help="widths of both networks, for ten devices")
    parser.add_argument("--selected", type=int, nargs="*", help="numbers of selected devices")
    parser.add_argument("--population", type=int, help="devices that they are selected from")
    parser.add_argument("--points", type=int, nargs="*", help="numbers of devices with 2-D points")
    parser.add_argument("--stacked", type=int, default=50, help="of these, how many update as one computation")
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
