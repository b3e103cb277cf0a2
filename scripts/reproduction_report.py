"""The tables and figures of scripts/reproduce.py, from whatever cells are finished."""

import math
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from statistics import mean, stdev

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from reproduction_cells import MARKERS, Cell, Tree
from scipy.stats import t as student_t

from raygan.config import Config, load_config
from raygan.data import ImageSet, Shards, load_data, split
from raygan.evaluation.pricing import timed
from raygan.record.folder import RunFolder
from raygan.report.curves import AXES, RunCurve, check_same_yardstick, cost_of, read_runs
from raygan.round.checks import method_of
from raygan.round.simulation import as_run

_COLOURS = 10
"""Matplotlib's colours begin again after so many."""

UNITS = {"round": "rounds", "megabytes": "MB", "sim_s": "simulated s"}
Group = tuple[str, str, str]
"""Study, data set, split."""
Runs = dict[Group, dict[str, dict[int, RunCurve]]]
"""Finished runs by group, method and seed."""


def write_results(settings: Tree, cells: list[Cell], out: Path, page: Path) -> None:
    """Put the tables between the page's markers and the figures into the folder named like the page."""
    runs = finished(settings, cells, out)
    figures = page.with_suffix("")
    figures.mkdir(parents=True, exist_ok=True)
    lines = [f"{len(cells)} runs, seeds {', '.join(map(str, sorted({cell.seed for cell in cells})))}."]
    for share in settings["targets"]:
        lines += ["", f"### To {share:.0%} of the untrained generator's FD-clf", "", *cost_table(settings, runs, share)]
    lines += ["", "### Where they end", "", *final_table(runs)]
    lines += ["", "### The same runs at other prices", "", *price_table(settings, runs)]
    for axis in AXES:
        name = f"{figures.name}/{axis}.png"
        draw_curves(settings, runs, axis, page.parent / name)
        lines += ["", f"![FD-clf against {UNITS[axis]}]({name})"]
    folders = {
        group: {method: {seed: run.folder for seed, run in seeds.items()} for method, seeds in methods.items()}
        for group, methods in runs.items()
    }
    for method_group, path in draw_grids(folders, figures):
        lines += ["", f"![Samples: {method_group}]({figures.name}/{path.name})"]
    put_between(MARKERS, lines, page)


def put_between(markers: tuple[str, str], lines: list[str], page: Path) -> None:
    """Replace what stands between the markers on a page, which is begun if it is not there."""
    begin, end = markers
    text = page.read_text(encoding="utf-8") if page.exists() else f"{begin}\n{end}\n"
    before, rest = text.split(begin)
    page.write_text(before + "\n".join([begin, *lines, end]) + rest.split(end, 1)[1], encoding="utf-8")


def finished(settings: Tree, cells: Iterable[Cell], out: Path) -> Runs:
    """The runs of `cells` at the first price; one run under the first split only stands under all of them."""
    runs: Runs = {}
    words = next(iter(settings["prices"].values()))
    for cell in cells:
        run = repriced(read_runs([out / cell.name])[0], words)
        splits = settings["studies"][cell.study]["splits"] if method_of(run.config).pooled else [cell.split]
        for split_name in splits:
            group = runs.setdefault((cell.study, cell.data, split_name), {})
            group.setdefault(cell.method, {})[cell.seed] = run
    for methods in runs.values():
        check_same_yardstick([run for seeds in methods.values() for run in seeds.values()])
    order = list(settings["methods"])
    return {group: dict(sorted(runs[group].items(), key=lambda item: order.index(item[0]))) for group in runs}


def costs(seeds: dict[int, RunCurve], share: float) -> dict[int, dict[str, float]]:
    """By seed, what it took to come down to `share` of the first value; without the seeds that never did."""
    reached = {}
    for seed, run in seeds.items():
        cost = cost_of(run.curve, "fd_clf", share * float(run.curve["fd_clf"].iloc[0]))
        if cost is not None:
            reached[seed] = cost
    return reached


def interval(values: list[float], log: bool = False) -> tuple[float, float, float]:
    """Mean and 95 % interval by Student's t over seeds; of ratios, geometrically. NaN bounds for one value."""
    used = [math.log(value) for value in values] if log else values
    centre = mean(used)
    half = student_t.ppf(0.975, len(used) - 1) * stdev(used) / math.sqrt(len(used)) if len(used) > 1 else math.nan
    back: Callable[[float], float] = math.exp if log else float
    return back(centre), back(centre - half), back(centre + half)


def ratios(mine: dict[int, dict[str, float]], base: dict[int, dict[str, float]], axis: str) -> list[float]:
    """This method's cost over the baseline's, seed by seed (same shards, same first weights)."""
    return [mine[seed][axis] / base[seed][axis] for seed in sorted(mine.keys() & base.keys()) if base[seed][axis]]


def shown(values: list[float]) -> str:
    """Mean and interval of costs."""
    if not values:
        return "-"
    centre, low, high = interval(values)
    return f"{centre:.3g}" if math.isnan(low) else f"{centre:.3g} ± {high - centre:.2g}"


def shown_ratio(values: list[float]) -> str:
    """Geometric mean and interval of ratios."""
    if not values or not all(values):
        return "0" if values else "-"  # a pooled method sends nothing
    centre, low, high = interval(values, log=True)
    return f"{centre:.2f}" if math.isnan(low) else f"{centre:.2f} [{low:.2f}, {high:.2f}]"


def table(head: list[str], rows: Iterable[list[str]]) -> list[str]:
    """Markdown."""
    return [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *rows)]


def cost_table(settings: Tree, runs: Runs, share: float) -> list[str]:
    """Rounds, bytes and simulated seconds to the target, and the ratios to the baseline."""
    baseline = settings["baseline"]
    rows = []
    for (study, data, split_name), methods in runs.items():
        base = costs(methods.get(baseline, {}), share)
        for method, seeds in methods.items():
            mine = costs(seeds, share)
            columns = [shown([cost[axis] for cost in mine.values()]) for axis in AXES]
            against = ["1" if method == baseline else shown_ratio(ratios(mine, base, axis)) for axis in AXES]
            verdict = "" if method == baseline else claim(ratios(mine, base, "sim_s"), len(mine), len(base), len(seeds))
            reached = f"{len(mine)} of {len(seeds)}"
            rows.append([study, data, split_name, method, reached, *columns, *against[1:], verdict])
    head = ["study", "data", "split", "method", "reached", *UNITS.values()]
    return table([*head, f"MB / {baseline}", f"simulated s / {baseline}", f"sooner than {baseline}?"], rows)


def claim(seconds: list[float], mine: int, base: int, tried: int) -> str:
    """Whether a method was sooner at the target than the baseline in simulated time, and how sure that is.

    `seconds` are the ratios of the seeds in which both reached it, `mine` and `base` how many each did of `tried`.
    """
    if mine != base:
        return "yes: reached more often" if mine > base else "no: reached less often"
    if mine < tried:
        return f"open: both reached it in {mine} of {tried}"
    if tried < 2:
        return "open: one seed only"
    _, low, high = interval(seconds, log=True)
    return "yes" if high < 1 else "no" if low > 1 else "open: the interval holds 1"


def final_table(runs: Runs) -> list[str]:
    """FD-clf at the last round, and how much was spent by then."""
    rows = []
    for group, methods in runs.items():
        for method, seeds in methods.items():
            last = [run.curve.iloc[-1] for run in seeds.values()]
            values = [float(row["fd_clf"]) for row in last]
            columns = [shown([float(row[axis]) for row in last]) for axis in AXES]
            classes = shown([float(row["classes_found"]) for row in last])
            rows.append([*group, method, shown(values), classes, *columns])
    return table(["study", "data", "split", "method", "FD-clf", "classes found", *UNITS.values()], rows)


def price_table(settings: Tree, runs: Runs) -> list[str]:
    """Ratios of simulated seconds to the first target under other links and speeds."""
    share, baseline = settings["targets"][0], settings["baseline"]
    rows = []
    for group, methods in runs.items():
        sends = {method: not method_of(next(iter(seeds.values())).config).pooled for method, seeds in methods.items()}
        others = [method for method in methods if method != baseline and sends[method]]
        for price, words in settings["prices"].items():
            priced = {
                method: {seed: repriced(run, words) for seed, run in methods[method].items()}
                for method in [baseline, *others]
                if method in methods
            }
            base = costs(priced.get(baseline, {}), share)
            found = []
            for method in others:
                compared = ratios(costs(priced[method], share), base, "sim_s")
                missing = f" ({len(compared)} of {len(priced[method])})" if len(compared) < len(priced[method]) else ""
                found.append(f"{method} {shown_ratio(compared)}{missing}")
            rows.append([*group, price, "; ".join(found)])
    return table(["study", "data", "split", "price", f"simulated s / {baseline} to the first target"], rows)


def repriced(run: RunCurve, words: list[str]) -> RunCurve:
    """The run as it would have been timed under `words`.

    Nobody is chosen by its link or gives up at a deadline, so training depends on the links only by who misses which
    rounds in outage. In another cell others miss other rounds, as often: its seconds are of these, the training is not.
    """
    config = as_run(load_config(run.folder.config, words))
    assert config.selection.name == "all"
    assert config.selection.deadline_s is None
    data = dealt(config.model_dump_json(include={"data", "devices", "seed"}))
    lengths = [one.phases.seconds for one in timed(config, int(run.curve["round"].max()), *data)]
    ends = np.concatenate([[0], np.cumsum(lengths)])
    curve = run.curve.assign(sim_s=ends[run.curve["round"].to_numpy(int)])
    return RunCurve(run.name, run.folder, run.config, curve)


@lru_cache
def dealt(of_config: str) -> tuple[ImageSet, Shards]:
    """The data of a run and who holds what, by the part of its config that they depend on."""
    config = Config.model_validate_json(of_config)
    images = load_data(config.data, config.seed)
    return images, split(images.labels, config.devices, config.data.partition, config.seed)


def draw_curves(settings: Tree, runs: Runs, axis: str, path: Path) -> None:
    """One panel per group: the geometric mean over seeds, and their range."""
    columns = min(3, len(runs))
    lines = -(-len(runs) // columns)
    figure = Figure(figsize=(4.6 * columns, 3.6 * lines), layout="constrained")
    for index, (group, methods) in enumerate(runs.items(), start=1):
        panel = figure.add_subplot(lines, columns, index)
        for method, seeds in methods.items():
            curves = [run.curve for run in seeds.values()]
            length = min(map(len, curves))
            values = np.array([curve["fd_clf"].to_numpy()[:length] for curve in curves])
            x = np.mean([curve[axis].to_numpy()[:length] for curve in curves], axis=0)
            if axis != "round" and x[-1] == 0:
                continue  # a pooled method sends nothing
            number = list(settings["methods"]).index(method)
            colour, dashes = f"C{number}", "--" if number >= _COLOURS else "-"
            panel.plot(x, np.exp(np.log(values).mean(axis=0)), dashes, label=method, color=colour, lw=1.6)
            panel.fill_between(x, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.18, lw=0)
        first = mean(float(run.curve["fd_clf"].iloc[0]) for seeds in methods.values() for run in seeds.values())
        for share in settings["targets"]:
            panel.axhline(share * first, color="black", lw=0.6, ls=":")
        panel.set(title=", ".join(group), yscale="log", xlabel=UNITS[axis], ylabel="FD-clf")
        panel.grid(color="#e5e5e5", lw=0.6)
        panel.legend(fontsize=8)
    figure.savefig(path, dpi=90)


def draw_grids(
    folders: dict[Group, dict[str, dict[int, RunFolder]]], figures: Path, parts: int = 2
) -> Iterator[tuple[str, Path]]:
    """For each group, the last pictures of all methods side by side (first seed), cut to one of `parts` of a side."""
    for group, methods in folders.items():
        pictures = []
        for seeds in methods.values():
            drawn = seeds[min(seeds)].newest_picture
            assert drawn is not None  # every finished run has one
            with Image.open(drawn) as picture:
                side = picture.width // parts
                pictures.append(picture.convert("RGB").crop((0, 0, side, side)))
        sheet = Image.new("RGB", (sum(one.width + 8 for one in pictures) - 8, pictures[0].height), "white")
        for index, one in enumerate(pictures):
            sheet.paste(one, (index * (one.width + 8), 0))
        path = figures / picture_of(group)
        sheet.save(path, optimize=True)
        yield f"{', '.join(group)}: {', '.join(methods)}", path


def picture_of(group: Group) -> str:
    """The file name of a group's samples."""
    return f"samples-{'-'.join(group).replace(' ', '_')}.png"
