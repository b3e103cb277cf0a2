"""The tables and the figure of benchmarks/growth.py, from points that were measured before."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import median

from growth_model import (
    MEMORY,
    MODELS,
    OF_SELECTED,
    OF_SIZE,
    OF_WORK,
    POINTS,
    STACKED,
    WITH_STEPS,
    WITHOUT,
    Fit,
    Model,
    Point,
    Unit,
    Value,
)
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator

Points = Sequence[Point]
Column = tuple[str, Callable[[Point], str]]

TITLES = {
    WITH_STEPS: "K devices, one local step each",
    WITHOUT: "K devices, no device work",
    OF_WORK: "Networks of different sizes",
    OF_SELECTED: "n devices of a population",
    POINTS: "K devices with MLPs of points, one by one",
    STACKED: "K devices with MLPs of points, stacked",
}
VARIED: dict[Model, list[Column]] = {
    WITH_STEPS: [("K", lambda point: str(point.devices))],
    WITHOUT: [("K", lambda point: str(point.devices))],
    OF_WORK: [
        ("width", lambda point: str(point.width)),
        ("parameters of D", lambda point: f"{point.parameters:,}"),
        ("update, kB", lambda point: f"{point.update_bytes / 1e3:,.1f}"),
        ("GFLOP a device", lambda point: f"{point.device_flops / 1e9:.3g}"),
        ("GFLOP/s", lambda point: f"{point.flops / point.seconds / 1e9:.3g}"),
    ],
    OF_SELECTED: [
        ("n", lambda point: str(point.selected)),
        ("of", lambda point: str(point.devices)),
        ("had taken part", lambda point: str(point.took_part)),
    ],
    POINTS: [("K", lambda point: str(point.devices))],
    STACKED: [("K", lambda point: str(point.devices)), ("stacked", lambda point: str(point.stacked))],
}
MEMORY_COLUMNS: list[Column] = [
    ("private, MB", lambda point: f"{point.memory / 1e6:,.0f}"),
    ("Ray's own, MB", lambda point: f"{point.rays_memory / 1e6:,.0f}"),
    ("store, MB", lambda point: f"{point.store_bytes / 1e6:,.1f}"),
]
SAVING_COLUMNS: list[Column] = [
    (title, lambda point, key=key: f"{point.saving[key] / 1e6:,.1f}" if point.saving else "-")
    for title, key in (
        ("checkpoint, MB", "checkpoint"),
        ("private meanwhile, MB", "private"),
        ("store meanwhile, MB", "stored"),
    )
]
CAPTION = """\
Seconds a round: median over blocks of rounds. Miss: how much more it is than the fit says. Then where the round's time
went (medians over rounds): until the actor that ended last began, in its devices' updates, adding these up there, until
the server had the sum, averaging, the server's step. GFLOP/s: counted operations of the busiest actor and the server,
over the round. Private: what only one process maps, of the driver, the server, the recorder and the actors of the
devices; Ray's own processes apart. Store: the objects in Ray's object store: the images twice, dealt and in order.
Meanwhile: the most of all processes, Ray's own too, while a checkpoint was written (of the store, pages in use)."""
FITS = """\
Least squares of relative errors. With two actors, K and n stand for twice the devices of the busier one: with one
device, or three, an actor waits. Most of it grows from where the fixed part and the growing one are the same."""
PHASES = {
    "devices": ("devices' updates", "#0072B2"),
    "host": ("adding up", "#56B4E9"),
    "down": ("down", "#E69F00"),
    "up": ("up", "#F0E442"),
    "average": ("averaging", "#CC79A7"),
    "server": ("server's step", "#009E73"),
}
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"  # Okabe and Ito's, for all eyes


def write_report(points: Points, out: Path) -> str:
    """Leave growth.md and growth.png in a folder; returns the tables."""
    tables = "\n".join([*point_tables(points), CAPTION, "", "### What is linear in what", "", *fit_table(points), FITS])
    (out / "growth.md").write_text(tables + "\n", encoding="utf-8")
    draw(points).savefig(out / "growth.png", dpi=100)
    return tables


def point_tables(points: Points) -> Iterator[str]:
    """Everything measured, in Markdown, a table for each sweep."""
    for model, title in TITLES.items():
        mine, fit = model.of(points), model.fit(points)
        if not mine:
            continue
        phases = list(mine[0].spent_s)
        memory = (MEMORY_COLUMNS if mine[0].private else []) + (
            SAVING_COLUMNS if any(point.saving for point in mine) else []
        )
        names = [*(name for name, _ in VARIED[model]), "s a round", "miss", *(f"{phase}, ms" for phase in phases)]
        yield from [f"### {title}", ""]
        rows = [
            [
                *(show(point) for _, show in VARIED[model]),
                f"{point.seconds:.4g}",
                _percent(model.miss(fit, point)) if fit else "-",
                *(f"{1000 * point.spent_s[phase]:,.1f}" for phase in phases),
                *(show(point) for _, show in memory),
            ]
            for point in mine
        ]
        yield from _table([*names, *(name for name, _ in memory)], rows)
    yield from turns_table(points)


def turns_table(points: Points) -> Iterator[str]:
    """What stacking gains, in Markdown: ratios of blocks that took turns."""
    pairs = list(zip(POINTS.of(points), STACKED.of(points), strict=True))
    if not pairs:
        return
    yield from ["### One by one and stacked, in turns", ""]
    rows = []
    for alone, stacked in pairs:
        ratios = [one / other for one, other in zip(alone.blocks_s, stacked.blocks_s, strict=True)]
        times = f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})"
        rows.append([str(alone.devices), str(stacked.stacked), f"{alone.seconds:.3g}", f"{stacked.seconds:.3g}", times])
    yield from _table(["K", "stacked", "s a round, one by one", "stacked", "times as fast"], rows)


def fit_table(points: Points) -> Iterator[str]:
    """What explains them, in Markdown."""
    rows = []
    for model in MODELS:
        fit = model.fit(points)
        if fit is None:
            continue
        worst = max(model.of(points), key=lambda point: abs(model.miss(fit, point)))
        bend = "-" if fit.bend is None else f"{model.symbol} = {_in(model.cause_unit, fit.bend)}"
        rows.append(
            [model.what, _law(model, fit), bend, f"{_percent(model.miss(fit, worst))} at {model.axis(worst):,}"]
        )
    yield from _table(["what", "fit", "the two are the same at", "largest miss"], rows)


def _law(model: Model, fit: Fit) -> str:
    return f"{_in(model.fixed_unit, fit.fixed)} + {_in(model.each_unit, fit.each)} x {model.symbol}"


def _in(unit: Unit, value: float) -> str:
    """Three digits."""
    name, scale = unit
    digits = f"{scale * value:,.3g}" if abs(scale * value) < 1000 else f"{scale * value:,.0f}"
    return f"{digits} {name}".rstrip()


def _percent(share: float) -> str:
    return f"{round(share, 2) + 0.0:+.0%}"  # the sum makes of -0 a 0


def _table(head: list[str], rows: list[list[str]]) -> Iterator[str]:
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    yield from (f"| {' | '.join(line)} |" for line in lines)
    yield ""


def draw(points: Points) -> Figure:
    """All sweeps in six panels."""
    figure = Figure(figsize=(11, 6.6), layout="constrained")
    (seconds, share, memory), (work, size, selected) = figure.subplots(2, 3)
    _measured(seconds, points, WITH_STEPS, BLUE, "one local step each")
    _measured(seconds, points, WITHOUT, ORANGE, "no device work", bend=False)
    for model, label, colour in (
        (POINTS, "MLPs of points, one by one", GREEN),
        (STACKED, "MLPs of points, stacked", PURPLE),
    ):
        _plain(seconds, model.of(points), model, model.value, label, colour)
    _label(seconds, "A round of K devices", "devices K", "seconds a round")
    _shares(share, points)
    _measured(memory, points, MEMORY, BLUE, "private, all processes of the run")
    many = MEMORY.of(points)
    _plain(memory, many, MEMORY, lambda point: point.private.get("WorkerActor", 0) / 1e6, "the devices' actors", GREEN)
    _plain(memory, many, MEMORY, lambda point: point.store_bytes / 1e6, "object store", ORANGE)
    _label(memory, "Memory of K devices", "devices K", "MB", "linear", "linear")
    _measured(work, points, OF_WORK, BLUE, "one local step each", bend=False)
    _label(work, "A round of 10 devices", "parameters of the discriminator", "seconds a round")
    _measured(size, points, OF_SIZE, BLUE, "private, all processes of the run", bend=False)
    _label(size, "Memory of 10 devices", "parameters of the discriminator", "MB", "linear", "linear")
    _measured(selected, points, OF_SELECTED, BLUE, "one local step each")
    of = {f"{point.devices:,}" for point in OF_SELECTED.of(points)}
    _label(selected, f"A round of n of {' and '.join(of)} devices", "selected devices n", "seconds a round")
    return figure


def _measured(panel: Axes, points: Points, model: Model, colour: str, label: str, bend: bool = True) -> None:
    """Points, and the fit through what it says for each of them."""
    mine, fit = model.of(points), model.fit(points)
    if not mine:
        return
    scale = 1e-6 if model.fixed_unit[0] == "MB" else 1.0
    x = [model.axis(point) for point in mine]
    panel.plot(x, [scale * model.value(point) for point in mine], "o", ms=4.5, color=colour, label=label)
    if fit is None:
        return
    said = [scale * fit.at(model.cause(point)) for point in mine]
    panel.plot(x, said, color=colour, lw=1.2, label=_law(model, fit))
    if bend and fit.bend is not None and x[0] < fit.bend < x[-1]:
        panel.axvline(
            fit.bend,
            color="black",
            lw=0.8,
            ls=":",
            label=f"half of it fixed: {model.symbol} = {_in(model.cause_unit, fit.bend)}",
        )


def _plain(panel: Axes, mine: Points, model: Model, value: Value, label: str, colour: str) -> None:
    """Points joined by a line."""
    if mine:
        x, y = [model.axis(point) for point in mine], [value(point) for point in mine]
        panel.plot(x, y, "s--", ms=3.5, lw=1, color=colour, label=label)


def _shares(panel: Axes, points: Points) -> None:
    """Where the time of a round with local steps goes."""
    mine = WITH_STEPS.of(points)
    whole = [sum(point.spent_s.values()) for point in mine]
    phases = {phase: look for phase, look in PHASES.items() if mine and phase in mine[0].spent_s}
    shares = [
        [100 * point.spent_s[phase] / all_of_it for point, all_of_it in zip(mine, whole, strict=True)]
        for phase in phases
    ]
    if shares:
        labels, colours = zip(*phases.values(), strict=True)
        panel.stackplot([point.devices for point in mine], *shares, labels=labels, colors=colours)
    _label(panel, "Where its time goes", "devices K", "% of a round", "log", "linear")
    panel.set(ylim=(0, 100))
    panel.margins(x=0)


def _label(panel: Axes, title: str, x: str, y: str, x_scale: str = "log", y_scale: str = "log") -> None:
    if not panel.get_legend_handles_labels()[0]:
        panel.set_axis_off()  # nothing of it was measured
        return
    panel.set(title=title, xlabel=x, ylabel=y, xscale=x_scale, yscale=y_scale)
    for axis in (panel.xaxis, panel.yaxis):
        axis.set_major_formatter("{x:,g}")
        low, high = axis.get_view_interval()
        if axis.get_scale() == "log" and high < 30 * low:  # too few powers of ten to read it by
            axis.set_minor_locator(LogLocator(subs=(2.0, 5.0)))
            axis.set_minor_formatter("{x:,g}")
    if y_scale == "linear":
        panel.set_ylim(0, 1.35 * panel.dataLim.ymax)  # room for the legend
    panel.grid(color="#e5e5e5", lw=0.6)
    panel.set_axisbelow(True)
    panel.legend(fontsize=7.5)
