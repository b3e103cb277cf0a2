"""Does the parallel schedule beat the serial one under a slow uplink? Runs what docs/study.md reports, and writes it.

    python scripts/study_uplink.py [--out runs/study] [--jobs N]

Reads study_uplink.yaml beside it and plays each run that is not finished yet: stop it and repeat it at will. All
devices take part in every round, so the training is the same whatever the links and speeds are: each run is played
once, and its simulated time is worked out again for every uplink and every server. Tables go to docs/study.md between
its markers, the figure to docs/study.png.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from reproduce import play_all
from reproduction_cells import Tree, cells, is_finished, read
from reproduction_report import costs, finished, interval, put_between, repriced, shown, shown_ratio, table

from raygan.report.curves import RunCurve

HERE = Path(__file__).parent
SETTINGS = HERE / "study_uplink.yaml"
PAGE = HERE.parent / "docs" / "study.md"
MARKERS = ("<!-- written by scripts/study_uplink.py: begin -->", "<!-- end -->")
SCHEDULES = ("serial", "parallel")

Seeds = dict[int, RunCurve]
Studies = dict[str, dict[str, Seeds]]
"""Finished runs by study, schedule and seed."""


@dataclass(frozen=True)
class Price:
    """What a study came to under one uplink and one server."""

    round_s: dict[str, float]
    """Simulated seconds of a round, by schedule."""
    ratios: list[float]
    """Parallel's simulated seconds to the target over serial's, seed by seed."""

    @property
    def saved(self) -> float:
        """The part of a round that parallel saves."""
        return 1 - self.round_s["parallel"] / self.round_s["serial"]

    @property
    def verdict(self) -> str:
        """Whether parallel was sooner at the target, by the 95 % interval over seeds."""
        _, low, high = interval(self.ratios, log=True)
        return "yes" if high < 1 else "no" if low > 1 else "open"


def seconds_of_a_round(run: RunCurve) -> float:
    """All rounds are alike, as rates and speeds are constant."""
    return float(run.curve["sim_s"].iloc[-1]) / float(run.curve["round"].iloc[-1])


def priced(runs: dict[str, Seeds], uplink_bps: float, server_flops: float, share: float) -> Price:
    """A study at a price; nothing is trained."""
    words = [f"channel.uplink_bps={uplink_bps:g}", f"compute.server_flops={server_flops:g}"]
    anew = {name: {seed: repriced(run, words) for seed, run in runs[name].items()} for name in SCHEDULES}
    reached = {name: costs(anew[name], share) for name in SCHEDULES}
    seeds = sorted(reached["serial"].keys() & reached["parallel"].keys())
    ratios = [reached["parallel"][seed]["sim_s"] / reached["serial"][seed]["sim_s"] for seed in seeds]
    return Price({name: seconds_of_a_round(next(iter(anew[name].values()))) for name in SCHEDULES}, ratios)


def all_prices(settings: Tree, studies: Studies) -> dict[tuple[str, float, float], Price]:
    """By study, server and uplink, the fastest of both first."""
    return {
        (study, server, uplink): priced(runs, uplink, server, settings["targets"][0])
        for study, runs in studies.items()
        for server in settings["server_flops"]
        for uplink in settings["uplink_bps"]
    }


def rounds_table(settings: Tree, studies: Studies) -> list[str]:
    """What the training takes, which no price changes: rounds to each target."""
    return table(
        ["local steps", "FD-clf to come down to", *(f"rounds, {name}" for name in SCHEDULES), "parallel / serial"],
        rows_of_rounds(settings, studies),
    )


def rows_of_rounds(settings: Tree, studies: Studies) -> Iterator[list[str]]:
    """A line per study and target."""
    for study, runs in studies.items():
        for share in settings["targets"]:
            reached = {name: costs(runs[name], share) for name in SCHEDULES}
            columns = []
            for name in SCHEDULES:
                missing = f" ({len(reached[name])} of {len(runs[name])} seeds)"
                values = shown([cost["round"] for cost in reached[name].values()])
                columns.append(values + (missing if len(reached[name]) < len(runs[name]) else ""))
            seeds = sorted(reached["serial"].keys() & reached["parallel"].keys())
            ratios = [reached["parallel"][seed]["round"] / reached["serial"][seed]["round"] for seed in seeds]
            yield [study, f"{share:.0%} of the untrained", *columns, shown_ratio(ratios)]


def price_table(prices: dict[tuple[str, float, float], Price]) -> list[str]:
    """A line per study, server and uplink."""
    rows = []
    for (study, server, uplink), price in prices.items():
        rounds = [f"{price.round_s[name]:.3g}" for name in SCHEDULES]
        rates = [f"{server / 1e9:g}", f"{uplink / 1e6:g}"]
        rows.append([study, *rates, *rounds, f"{price.saved:.1%}", shown_ratio(price.ratios), price.verdict])
    head = ["local steps", "server, GFLOP/s", "uplink, Mbit/s", "a round, serial (s)", "a round, parallel (s)"]
    return table([*head, "saved", "seconds to the target, parallel / serial", "parallel sooner?"], rows)


def draw_training(panel: Axes, study: str, runs: dict[str, Seeds], target: float) -> None:
    """Quality against rounds: the geometric mean over seeds, and their range."""
    for name, colour in zip(SCHEDULES, ("C0", "C1"), strict=True):
        curves = [run.curve for run in runs[name].values()]
        values = np.array([curve["fd_clf"].to_numpy() / float(curve["fd_clf"].iloc[0]) for curve in curves])
        rounds = curves[0]["round"].to_numpy()
        panel.plot(rounds, np.exp(np.log(values).mean(axis=0)), color=colour, label=name)
        panel.fill_between(rounds, values.min(axis=0), values.max(axis=0), color=colour, alpha=0.18, lw=0)
    panel.axhline(target, color="black", lw=0.7, ls=":")
    panel.set(title=f"{study}: the training", xlabel="rounds", ylabel="FD-clf / untrained", yscale="log")
    panel.legend(fontsize=8)


def draw_price(panel: Axes, study: str, prices: dict[tuple[str, float, float], Price]) -> None:
    """Parallel's seconds to the target over serial's, against the uplink, a line per server."""
    mine = {(server, uplink): price for (one, server, uplink), price in prices.items() if one == study}
    for server in dict.fromkeys(server for server, _ in mine):
        found = sorted(
            (uplink, interval(price.ratios, log=True)) for (own, uplink), price in mine.items() if own == server
        )
        centre, low, high = np.array([bounds for _, bounds in found]).T
        uplinks = [uplink / 1e6 for uplink, _ in found]
        panel.errorbar(
            uplinks, centre, [centre - low, high - centre], marker="o", ms=4, capsize=2, label=f"{server / 1e9:g}"
        )
    panel.axhline(1, color="black", lw=0.7)
    panel.set(title=f"{study}: its price", xlabel="uplink (Mbit/s)", ylabel="seconds to the target,\nparallel / serial")
    panel.set(xscale="log")
    panel.legend(title="server, GFLOP/s", fontsize=8, title_fontsize=8)


def draw(settings: Tree, studies: Studies, prices: dict[tuple[str, float, float], Price], path: Path) -> None:
    """A row per study: what the training takes, and what that costs."""
    figure = Figure(figsize=(9.6, 3.5 * len(studies)), layout="constrained", facecolor="white")
    panels = figure.subplots(len(studies), 2, squeeze=False)
    for (left, right), (study, runs) in zip(panels, studies.items(), strict=True):
        draw_training(left, study, runs, settings["targets"][0])
        draw_price(right, study, prices)
    for panel in panels.flat:
        panel.grid(color="#e5e5e5", lw=0.6)
    figure.savefig(path, dpi=100)


def write(settings: Tree, studies: Studies, page: Path) -> None:
    """The tables between the markers, the figure beside the page."""
    prices = all_prices(settings, studies)
    put_between(MARKERS, ["", *rounds_table(settings, studies), "", *price_table(prices), ""], page)
    draw(settings, studies, prices, page.with_suffix(".png"))


def main() -> int:
    """Run what is missing, then write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--settings", type=Path, default=SETTINGS)
    parser.add_argument("--out", type=Path, default=Path("runs/study"), help="where the runs go")
    parser.add_argument("--page", type=Path, default=PAGE, help="page with the markers")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="runs at the same time")
    arguments = parser.parse_args()
    settings = read(arguments.settings)
    wanted = list(cells(settings))
    play_all(wanted, arguments.out, arguments.jobs)
    done = [cell for cell in wanted if is_finished(cell, arguments.out)]
    if len(done) < len(wanted):
        return 1
    write(
        settings, {study: runs for (study, *_), runs in finished(settings, done, arguments.out).items()}, arguments.page
    )
    print(f"wrote {arguments.page} and {arguments.page.with_suffix('.png')}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
