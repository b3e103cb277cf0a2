"""The answer of a sweep: a ranked table, the best config, and a page."""

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
from raygan.report.sweep.results import found, rank_points, shown_value
from raygan.sweep.space import domains
from raygan.sweep.spec import Pb2, Pbt, Sweep
from raygan.sweep.trial import LAST

_COSTS = ("sim_s", "megabytes", "wall_s")


def write_answer(sweep: Sweep, folder: Path, grid: ResultGrid) -> SweepResults:
    """Write results.csv, report.html once a trial has started, and best.yaml once a trial has a value.

    Raises:
        InputError: a file cannot be written.
    """
    results = ranked(sweep, folder, grid)
    table = results.table
    texts = {folder / "results.csv": _whole_numbers(table).to_csv(index=False)}
    valued = table[(table["status"] != "failed") & table[sweep.metric].notna()]
    kept = [row for _, row in valued.iterrows() if RunFolder(folder / str(row["run"])).config.exists()]
    if kept:  # of trials whose folder has not been deleted
        texts[folder / "best.yaml"] = _best(results, kept[0], folder)
    else:
        (folder / "best.yaml").unlink(missing_ok=True)
    write_texts(texts, folder)
    if len(table):
        write_sweep_page(results, folder, folder / "report.html")
    return results


def varied_keys(sweep: Sweep) -> list[str]:
    """Returns the varied config keys, each once."""
    return list(dict.fromkeys(key for key, _ in domains(sweep.space)))


def ranked(sweep: Sweep, folder: Path, grid: ResultGrid) -> SweepResults:
    """Returns a row per started trial: the best point's trials first, each point's best first, failed ones last."""
    keys = varied_keys(sweep)
    seed = ["seed"] if sweep.seeds else []
    begun = [result for result in (grid[number] for number in range(len(grid))) if _settings(result)]
    rows = [_row(sweep, folder, result, [*keys, *seed]) for result in begun]
    measured = dict.fromkeys([sweep.metric, f"best {sweep.metric}", sweep.quality])
    columns = ["trial", "status", *keys, *seed, "round", *measured, *_COSTS, "run", "error"]
    table = pd.DataFrame(rows, columns=columns)
    own = isinstance(sweep.scheduler, Pbt | Pb2)  # a member of a population is never a retry of another
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
    else:  # a cost no longer changes once the target is reached
        row[f"best {sweep.metric}"] = row[sweep.metric]
    return row


def _settings(result: Any) -> dict[str, Any]:
    """Returns a trial's settings; Tune's result has them only after the first report."""
    params = Path(result.path) / "params.json"
    if result.config is None and params.exists():
        settings: dict[str, Any] = load_json(params.read_bytes())
        return settings
    return result.config or {}


def _reached(value: float | None) -> float | None:
    """Returns None for a target that was not reached."""
    return None if value is None or math.isinf(value) else value


def _cell(value: Any) -> Any:
    """Returns a section or a list as text."""
    return json.dumps(value) if isinstance(value, dict | list | tuple) else value


def _status(result: Any) -> str:
    metrics = result.metrics or {}
    if result.error is not None:
        return "failed"
    if metrics.get(LAST):
        return "finished"
    return "stopped" if metrics.get("done") else "unfinished"


def _reason(error: Exception | None) -> str:
    """Returns the reason of a trial's failure in a line; raygan's own errors are such lines."""
    if error is None:
        return ""
    lines = [line.strip() for line in str(error).splitlines()]
    own = [line for line in lines if line.startswith("raygan.errors.")]
    return own[-1].partition(": ")[2] if own else next(line for line in reversed(lines) if line)


def _best_value(sweep: Sweep, root: Path, last: int) -> float | None:
    """Returns the best value of a trial over its evaluations up to the last reported one."""
    curve = read_curve(RunFolder(root))
    if last == 0 or curve.empty:
        return None
    values = curve.loc[curve["round"].between(1, last), sweep.metric]
    return float(values.min() if sweep.mode == "min" else values.max())


def _whole_numbers(table: pd.DataFrame) -> pd.DataFrame:
    """Returns integers as such even if some are missing."""
    numbers = table.select_dtypes("float")
    whole = [name for name in numbers if numbers[name].notna().any() and (numbers[name].dropna() % 1 == 0).all()]
    return table.astype(dict.fromkeys(whole, "Int64"))


def _best(results: SweepResults, best: pd.Series, folder: Path) -> str:
    """Returns the config of the best trial, as a file to train with."""
    config = RunFolder(folder / str(best["run"])).read_config()
    if best["status"] != "finished":  # the rounds that were measured are those that run again
        config = config.model_copy(update={"rounds": int(best["round"])})
    about = (
        f"trial {best['trial']}: {results.metric} {shown_value(best[results.metric])} after round "
        f"{shown_value(best['round'])}",
        found(results, rank_points(results)),
    )
    return "".join(f"# {line}\n" for line in about) + dump_config(config)
