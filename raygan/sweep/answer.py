"""What a sweep came to: a ranked table, the best config, a page."""

import json
import math
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
from ray.tune import ResultGrid

from raygan.config import dump_config
from raygan.files import load_json
from raygan.record.folder import RunFolder
from raygan.report.curves import read_curve
from raygan.report.page import write_texts
from raygan.report.sweep.page import SweepResults, write_sweep_page
from raygan.report.sweep.results import found, rank_points, shown
from raygan.sweep.space import domains
from raygan.sweep.spec import Pb2, Pbt, Sweep
from raygan.sweep.trial import LAST

_COSTS = ("sim_s", "megabytes", "wall_s")


def write_answer(sweep: Sweep, folder: Path, grid: ResultGrid) -> SweepResults:
    """Write results.csv, once a trial has begun report.html, and once one has a value best.yaml.

    Raises:
        InputError: a file cannot be written.
    """
    results = ranked(sweep, folder, grid)
    table = results.table
    texts = {folder / "results.csv": _whole_numbers(table).to_csv(index=False)}
    valued = table[(table["status"] != "failed") & table[sweep.metric].notna()]
    kept = [row for _, row in valued.iterrows() if RunFolder(folder / str(row["run"])).config.exists()]
    if kept:  # of those whose folder nobody has deleted
        texts[folder / "best.yaml"] = _best(results, kept[0], folder)
    else:
        (folder / "best.yaml").unlink(missing_ok=True)
    write_texts(texts, folder)
    if len(table):
        write_sweep_page(results, folder, folder / "report.html")
    return results


def varied_keys(sweep: Sweep) -> list[str]:
    """The config keys that are varied, each once."""
    return list(dict.fromkeys(key for key, _ in domains(sweep.space)))


def ranked(sweep: Sweep, folder: Path, grid: ResultGrid) -> SweepResults:
    """A row per trial that has begun: the trials of the best point first, each point's best first, failed ones last."""
    keys = varied_keys(sweep)
    seed = ["seed"] if sweep.seeds else []
    begun = [result for result in (grid[number] for number in range(len(grid))) if _settings(result)]
    rows = [_row(sweep, folder, result, [*keys, *seed]) for result in begun]
    measured = dict.fromkeys([sweep.metric, f"best {sweep.metric}", sweep.quality])
    columns = ["trial", "status", *keys, *seed, "round", *measured, *_COSTS, "run", "error"]
    table = pd.DataFrame(rows, columns=columns)
    own = isinstance(sweep.scheduler, Pbt | Pb2)  # a member of a population is nobody's second try
    names = [row["trial"] if own else json.dumps([row[key] for key in keys]) for row in rows]
    table.insert(1, "point", [list(dict.fromkeys(names)).index(name) + 1 for name in names])
    results = SweepResults(
        table=table,
        varied=keys,
        metric=sweep.metric,
        mode=sweep.mode,
        quality=sweep.quality,
        target=sweep.target[sweep.quality] if sweep.target is not None else None,
        title=folder.name,
        question=sweep.question,
    )
    order = pd.DataFrame(
        {
            "point": table["point"].map({point: place for place, point in enumerate(rank_points(results).index)}),
            "failed": table["status"] == "failed",
            "own": pd.to_numeric(table[sweep.metric]) * (1 if sweep.mode == "min" else -1),
        }
    )
    table = table.loc[order.sort_values(["point", "failed", "own"], kind="stable").index].reset_index(drop=True)
    table.insert(0, "rank", table.index + 1)
    return replace(results, table=table)


def _row(sweep: Sweep, folder: Path, result: Any, keys: Iterable[str]) -> dict[str, Any]:
    name = Path(result.path).name
    metrics = result.metrics or {}
    given = _settings(result)
    row = {key: _cell(given[key]) if key in given else None for key in keys}
    row |= {key: _reached(metrics.get(key)) for key in ("round", sweep.metric, sweep.quality, *_COSTS)}
    row |= {"trial": name, "run": f"runs/{name}", "status": _status(result), "error": _reason(result.error)}
    if sweep.metric == sweep.quality:
        row[f"best {sweep.metric}"] = _best_value(sweep, folder / "runs" / name, metrics.get("round", 0))
    else:  # a cost is what it is from the moment that the target is reached
        row[f"best {sweep.metric}"] = row[sweep.metric]
    return row


def _settings(result: Any) -> dict[str, Any]:
    """What a trial was given; Tune's result has it only once there was a report."""
    params = Path(result.path) / "params.json"
    if result.config is None and params.exists():
        settings: dict[str, Any] = load_json(params.read_bytes())
        return settings
    return result.config or {}


def _reached(value: float | None) -> float | None:
    """None of a target that was not reached."""
    return None if value is None or math.isinf(value) else value


def _cell(value: Any) -> Any:
    """A section or a list as text."""
    return json.dumps(value) if isinstance(value, dict | list | tuple) else value


def _status(result: Any) -> str:
    metrics = result.metrics or {}
    if result.error is not None:
        return "failed"
    if metrics.get(LAST):
        return "finished"
    return "stopped" if metrics.get("done") else "unfinished"


def _reason(error: Exception | None) -> str:
    """What a trial failed of, in a line: our own errors say it themselves."""
    if error is None:
        return ""
    lines = [line.strip() for line in str(error).splitlines()]
    own = [line for line in lines if line.startswith("raygan.errors.")]
    return own[-1].partition(": ")[2] if own else next(line for line in reversed(lines) if line)


def _best_value(sweep: Sweep, root: Path, last: int) -> float | None:
    """The best that a trial had at any of its evaluations up to the last one reported."""
    curve = read_curve(RunFolder(root))
    if last == 0 or curve.empty:
        return None
    values = curve.loc[curve["round"].between(1, last), sweep.metric]
    return float(values.min() if sweep.mode == "min" else values.max())


def _whole_numbers(table: pd.DataFrame) -> pd.DataFrame:
    """Integers as such where some are missing."""
    numbers = table.select_dtypes("float")
    whole = [name for name in numbers if numbers[name].notna().any() and (numbers[name].dropna() % 1 == 0).all()]
    return table.astype(dict.fromkeys(whole, "Int64"))


def _best(results: SweepResults, best: pd.Series, folder: Path) -> str:
    """The config of the best trial, as a file to train with."""
    config = RunFolder(folder / str(best["run"])).read_config()
    if best["status"] != "finished":  # it is what was measured that plays again
        config = config.model_copy(update={"rounds": int(best["round"])})
    about = (
        f"trial {best['trial']}: {results.metric} {shown(best[results.metric])} after round {shown(best['round'])}",
        found(results, rank_points(results)),
    )
    return "".join(f"# {line}\n" for line in about) + dump_config(config)
