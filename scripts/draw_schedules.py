"""Draws where a round's simulated time goes in each schedule, and writes the table beside the drawing.

    python scripts/draw_schedules.py

Reads scripts/schedules.yaml; writes docs/schedules.svg, and the table of docs/schedules.md between its markers. Nothing
is trained: the seconds are those of the clock that every run has.
"""

from dataclasses import dataclass
from pathlib import Path

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from raygan.channel.simulated import Phases
from raygan.config import Config, load_config
from raygan.data import load_data, split
from raygan.round.simulation import try_out

HERE = Path(__file__).parent
SETTINGS = HERE / "schedules.yaml"
PAGE = HERE.parent / "docs" / "schedules.md"
DRAWING = PAGE.with_suffix(".svg")
MARKERS = ("<!-- written by scripts/draw_schedules.py: begin -->", "<!-- end -->")
ROUNDS = 3
COLOURS = {  # Okabe and Ito's, which the colour-blind can tell apart
    "receiving G and D": "#56b4e9",
    "discriminator steps": "#0072b2",
    "sending D_k": "#e69f00",
    "generator steps": "#009e73",
    "waiting": "#eeeeee",
}


@dataclass(frozen=True)
class Schedule:
    """A round of one schedule: as the run has it, and as each device alone would have it."""

    name: str
    whole: Phases
    alone: list[Phases]


@dataclass(frozen=True)
class Bar:
    """A phase of one lane (seconds). Lane 0 is the server's, the devices' follow."""

    lane: int
    phase: str
    start: float
    length: float


def phases_of(config: Config, rounds: int) -> list[Phases]:
    """The first rounds' phases."""
    images = load_data(config.data, config.seed)
    shards = split(images.labels, config.devices, config.data.partition, config.seed)
    _, clock = try_out(config, images, shards)
    return [clock.round(round).phases for round in range(1, rounds + 1)]


def schedule(name: str) -> Schedule:
    """Rates and speeds are constant and everybody takes part, so every round is as long as the first.

    The clock says of a round only what the device that it waits for does. So it is asked for rounds of one device each,
    too: a device's phases do not depend on the others', as the links are its own and the downlinks are equal.
    """
    config = load_config(SETTINGS, [f"schedule={name}"])
    in_turn = load_config(SETTINGS, [f"schedule={name}", "selection.name=round_robin", "selection.count=1"])
    return Schedule(name, phases_of(config, 1)[0], phases_of(in_turn, config.devices))


def bars(schedule: Schedule, rounds: int) -> list[Bar]:
    """The lanes of some rounds, one after the other; gaps are waiting. Averaging is too short to be drawn."""
    whole, drawn = schedule.whole, []
    for round in range(rounds):
        start = round * whole.seconds
        begun = start + whole.down
        drawn.append(Bar(0, "generator steps", begun, whole.meanwhile))
        drawn.append(Bar(0, "generator steps", start + whole.seconds - whole.server, whole.server))
        for lane, alone in enumerate(schedule.alone, start=1):
            drawn.append(Bar(lane, "receiving G and D", start, alone.down))
            drawn.append(Bar(lane, "discriminator steps", begun, alone.device))
            drawn.append(Bar(lane, "sending D_k", begun + alone.device, alone.up))
    return [bar for bar in drawn if bar.length > 0]


def draw_lanes(panel: Axes, schedule: Schedule, rounds: int, end: float) -> None:
    """One schedule's lanes."""
    lanes = ["server", *(f"device {device}" for device in range(len(schedule.alone)))]
    length = rounds * schedule.whole.seconds
    panel.barh(range(len(lanes)), length, height=0.62, color=COLOURS["waiting"])
    for bar in bars(schedule, rounds):
        panel.barh(bar.lane, bar.length, left=bar.start, height=0.62, color=COLOURS[bar.phase])
    for round in range(1, rounds + 1):
        panel.axvline(round * schedule.whole.seconds, color="black", lw=0.8, ls=(0, (4, 3)))
        middle = (round - 0.5) * schedule.whole.seconds
        panel.text(middle, -0.62, f"round {round}", ha="center", fontsize=8)
    panel.set_yticks(range(len(lanes)), lanes)
    panel.set(ylim=(len(lanes) - 0.5, -1), xlim=(0, end))
    panel.set_title(f"{schedule.name}: {schedule.whole.seconds:.3f} simulated s a round", loc="left", fontsize=10)
    panel.spines[["top", "right"]].set_visible(False)


def draw(serial: Schedule, parallel: Schedule, path: Path) -> None:
    """Serial above parallel, on one axis of time, on white so that it can be read on a dark page."""
    end = 1.01 * ROUNDS * max(one.whole.seconds for one in (serial, parallel))
    with rc_context({"svg.hashsalt": "schedules", "svg.fonttype": "none", "font.family": "sans-serif"}):
        figure = Figure(figsize=(9, 4.6), layout="constrained", facecolor="white")
        panels = figure.subplots(2, 1, sharex=True)
        for panel, one in zip(panels, (serial, parallel), strict=True):
            draw_lanes(panel, one, ROUNDS, end)
        panels[1].set_xlabel("simulated seconds")
        patches = [Patch(color=colour, label=phase) for phase, colour in COLOURS.items()]
        figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), fontsize=8, frameon=False)
        figure.savefig(path, metadata={"Date": None, "Creator": None, "Description": described(serial, parallel)})


def described(serial: Schedule, parallel: Schedule) -> str:
    """The seconds that a drawing was made of, by which a test knows whether it is still true."""
    return "; ".join(
        f"{one.name} {one.whole.seconds:.6f}: "
        + ", ".join(f"{bar.lane} {bar.phase} {bar.start:.6f}+{bar.length:.6f}" for bar in bars(one, 1))
        for one in (serial, parallel)
    )


def table(serial: Schedule, parallel: Schedule) -> list[str]:
    """The phases of a round in each schedule, and of each device, as Markdown."""
    rows = []
    for who, device in [(f"device {number}", phases) for number, phases in enumerate(serial.alone)]:
        rows.append([who, f"{device.down:.4f}", f"{device.device:.4f}", f"{device.up:.4f}", "", ""])
    for one in (serial, parallel):
        whole, generator = one.whole, one.whole.server + one.whole.meanwhile
        row = [f"a round, {one.name}", *(f"{value:.4f}" for value in (whole.down, whole.device, whole.up, generator))]
        rows.append([*row, f"**{whole.seconds:.4f}**"])
    head = ["seconds", "receiving", "discriminator steps", "sending", "generator steps", "in all"]
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows)]


def written(page: str, serial: Schedule, parallel: Schedule) -> str:
    """The page with the table of today."""
    begin, end = MARKERS
    before, rest = page.split(begin)
    return before + "\n".join([begin, *table(serial, parallel), end]) + rest.split(end)[1]


def main() -> None:
    """Draw and write."""
    serial, parallel = schedule("serial"), schedule("parallel")
    draw(serial, parallel, DRAWING)
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8"), serial, parallel), encoding="utf-8")
    print(f"wrote {DRAWING.name} and the table of {PAGE.name}")


if __name__ == "__main__":
    main()
