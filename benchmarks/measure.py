"""How benchmarks/engines.py measures an engine: beside the floor, in blocks of rounds that take turns."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from statistics import median

from engine import Block, EngineProcess
from memory import Peak, peak
from work import State, Work, WorkFolder, largest_difference

CHECKED = 3
"""Rounds after which all engines must have the same global discriminator."""
AGREEMENT = 1e-4
"""Largest difference of any of its values."""

Command = list[str]
"""What starts an engine, with the work's folder behind it."""
Watch = Callable[[Callable[[int], Block], float], float | None]
"""Looks at something while it lets an engine play so many rounds; is also given what a round takes (s)."""


@dataclass(frozen=True)
class Plan:
    """How much is played."""

    pairs: int
    """Pairs of blocks: one of the floor's and one of the engine's, who is first changing from pair to pair."""
    block: int
    """Rounds in a block."""


@dataclass(frozen=True)
class Measured:
    """What was seen of one engine on one work."""

    startup_s: float
    s_per_round: float
    """Median over blocks."""
    s_per_round_range: tuple[float, float]
    overhead_over_floor: float
    """Its seconds over the floor's: median over pairs."""
    ms_over_floor_per_device: float
    """Milliseconds above the floor's round, over the number of devices: median over pairs."""
    device_updates_per_s: float
    peak_private_mb: float
    shared_mb: float
    store_bytes_per_round: float | None
    """Of engines on Ray."""
    difference: float
    """Of the global discriminator from the floor's, after the checked rounds."""
    spent_s: dict[str, float] | None
    """Where a round of raygan's spends its time: medians over blocks."""
    versions: dict[str, str]
    blocks_s: list[tuple[float, float]]
    """Seconds a round of each pair: the floor's, the engine's."""
    watched: float | None
    """What was looked at while it played alone."""


@dataclass(frozen=True)
class _Ready:
    """An engine that has played the checked rounds, and a block that was not timed."""

    process: EngineProcess
    discriminator: State
    """After the checked rounds."""
    memory: Peak


def measure(
    work: Work, folder: WorkFolder, floor: Command, engines: dict[str, Command], plan: Plan, watch: Watch | None = None
) -> Iterator[tuple[str, Measured]]:
    """Play the work that lies in `folder`: each engine in turn beside the floor; the floor's own numbers come last.

    `watch` looks at each, too, after what is timed, while no other plays.
    """
    with closing(EngineProcess("floor", floor, folder.root)) as floor_process:
        beside = _get_ready(floor_process, plan)
        floor_blocks: list[Block] = []
        for name, command in engines.items():
            with closing(EngineProcess(name, command, folder.root)) as process:
                engine = _get_ready(process, plan)
                pairs = [_play_pair(beside, engine, plan, pair % 2 == 1) for pair in range(plan.pairs)]
                watched = _watched(watch, engine, pairs, plan)
            floor_blocks += [floor_block for floor_block, _ in pairs]
            yield name, _summary(work, plan, engine, beside, pairs, watched)
        pairs = [(block, block) for block in floor_blocks]
        yield "floor", _summary(work, plan, beside, beside, pairs, _watched(watch, beside, pairs, plan))


def _get_ready(process: EngineProcess, plan: Plan) -> _Ready:
    process.play(CHECKED - 1)  # it has played one when it was started
    discriminator = process.discriminator()
    with peak(process.pid) as memory:
        process.play(plan.block)
    return _Ready(process, discriminator, memory)


def _play_pair(floor: _Ready, engine: _Ready, plan: Plan, swapped: bool) -> tuple[Block, Block]:
    """A block of the floor and one of the engine, the engine first if `swapped`."""
    if swapped:
        engine_block = engine.process.play(plan.block)
        return floor.process.play(plan.block), engine_block
    return floor.process.play(plan.block), engine.process.play(plan.block)


def _watched(watch: Watch | None, engine: _Ready, pairs: list[tuple[Block, Block]], plan: Plan) -> float | None:
    return watch(engine.process.play, median(block.seconds for _, block in pairs) / plan.block) if watch else None


def _summary(
    work: Work, plan: Plan, engine: _Ready, floor: _Ready, pairs: list[tuple[Block, Block]], watched: float | None
) -> Measured:
    blocks_s = [(one.seconds / plan.block, other.seconds / plan.block) for one, other in pairs]
    engine_s = [seconds for _, seconds in blocks_s]
    stored = [other.store_bytes / plan.block for _, other in pairs if other.store_bytes is not None]
    return Measured(
        startup_s=engine.process.startup_s,
        s_per_round=median(engine_s),
        s_per_round_range=(min(engine_s), max(engine_s)),
        overhead_over_floor=median(seconds / floor_s for floor_s, seconds in blocks_s),
        ms_over_floor_per_device=median(seconds - floor_s for floor_s, seconds in blocks_s) * 1000 / work.devices,
        device_updates_per_s=work.devices / median(engine_s),
        peak_private_mb=engine.memory.private / 1e6,
        shared_mb=(engine.memory.stored + engine.memory.mapped) / 1e6,
        store_bytes_per_round=median(stored) if stored else None,
        difference=largest_difference(engine.discriminator, floor.discriminator),
        spent_s=_median_of_each([other.spent_s for _, other in pairs if other.spent_s is not None]),
        versions=engine.process.versions,
        blocks_s=blocks_s,
        watched=watched,
    )


def _median_of_each(blocks: list[dict[str, float]]) -> dict[str, float] | None:
    return {phase: median(block[phase] for block in blocks) for phase in blocks[0]} if blocks else None
