"""What a run was and came to, in sentences."""

from numbers import Real
from typing import Any

import pandas as pd

from raygan.measures import RAW
from raygan.report.progress import bytes_in_words, duration
from raygan.report.quality import direction, in_words, measure_of, measured, said
from raygan.report.record import DataFacts, Nearest, RunRecord

_ALIKE = (0.8, 0.5)  # parts of the distance between real images; what they are called below them is ours
_YARDSTICK = {
    "eval_samples": "{} generated samples",
    "reference_images": "{} real images",
    "compared_images": "{} of them where single samples are compared",
    "classifier": "classifier {}",
    "inception": "Inception weights {}",
    "eval_seed": "evaluation seed {}",
}
"""What measurements depend on: fields of metrics.jsonl, and how a sentence says them."""


def what_it_was(record: RunRecord) -> str:
    """Method, schedule, data, partition, devices and rounds in one line."""
    config = record.config
    method = f"{config.method}, {config.schedule}" if config.method == "averaged" else config.method
    words = [f"{method} on {_data(record)}"]
    if config.method == "centralized":
        words.append("all of it at the server")
    else:
        count = getattr(config.selection, "count", None)
        chosen = f", {count} of them in each round ({config.selection.name})" if count else ""
        words.append(f"{config.data.partition.name} partition over {config.devices:,} devices{chosen}")
        if config.channel.name != "none":
            words.append(f"links: {config.channel.name}")
    words.append(f"{config.rounds:,} rounds, seed {config.seed}")
    return "; ".join(words) + "."


def _data(record: RunRecord) -> str:
    facts = record.data
    if facts is None:
        return record.config.data.name
    shape = " by ".join(map(str, facts.shape[1:])) + (" in colour" if facts.shape[0] == 3 else " in grey")
    what = f"{facts.samples:,} images of {shape}" if len(facts.shape) == 3 else f"{facts.samples:,} points"
    classes = f", {len(facts.classes)} classes" if len(facts.classes) > 1 else ""
    return f"{facts.name} ({what}{classes})"


def how_it_stands(record: RunRecord) -> str:
    """Whether it is over, and what it took so far."""
    last, rounds = record.last_round, record.config.rounds
    spent = _spent(record)
    if record.rounds.empty:
        state = f"No round is recorded yet, of {rounds:,}."
    elif last >= rounds:
        state = f"All {rounds:,} rounds are played"
    elif failure := _failure(record):
        state = f"Ended by an error behind round {last:,} of {rounds:,}, unless it was resumed since ({failure})"
    elif record.closing is not None and record.closing.round >= last:
        state = f"Interrupted after round {last:,} of {rounds:,}, its state saved"
    else:
        state = f"Round {last:,} of {rounds:,} is the last recorded: the run goes on, or it was broken off"
    return f"{state}{spent}"


def _spent(record: RunRecord) -> str:
    if record.rounds.empty:
        return ""
    row = record.rounds.iloc[-1]
    sent = float(record.rounds[["bytes_down", "bytes_up", "bytes_swap"]].to_numpy().sum())
    words = [f"{duration(row['wall_s'])} here", f"{duration(row['sim_s'])} simulated"]
    return f": {', '.join(words)}, {bytes_in_words(sent)} sent between devices and server."


def _failure(record: RunRecord) -> str | None:
    """The last line of error.txt, if nothing was recorded after it."""
    error, metrics = record.folder.error, record.folder.metrics
    if not error.is_file() or (metrics.exists() and metrics.stat().st_mtime > error.stat().st_mtime):
        return None
    lines = error.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"error.txt: {lines[-1].strip()}" if lines else "error.txt"


def quality_now(record: RunRecord) -> str:
    """The newest measurement, against the first."""
    names = measured(record.curve)
    if not names:
        return "Nothing has been measured yet."
    first, last = evaluation(record.curve, 0), evaluation(record.curve, -1)
    if (closing := record.closing) is not None and closing.round > last["round"]:
        last |= {"round": closing.round, **closing.ema}
    name, rank = names[0], direction(names[0])
    before = f" ({said(first[name])} at round {first['round']:,}{f'; {rank}' if rank else ''})"
    return f"Round {last['round']:,}: {in_words(last, name, before)}."


def evaluation(curve: pd.DataFrame, place: int) -> dict[str, Any]:
    """A row of a curve, each value of its own type."""
    return {str(column): curve[column].iloc[place] for column in curve}


def what_it_depends_on(curve: pd.DataFrame) -> str:
    """What the last evaluation's numbers depend on."""
    last = evaluation(curve, -1)
    facts = {key: said for key in _YARDSTICK if (said := _said_fact(last.get(key)))}
    if facts.get("compared_images") == facts.get("reference_images"):
        facts.pop("compared_images", None)  # all of them
    words = [sentence.format(facts[key]) for key, sentence in _YARDSTICK.items() if key in facts]
    return f"Measured with {', '.join(words)}; distances compare only where these are the same."


def _said_fact(value: object) -> str:
    """A count or a hash; empty where there is none."""
    if isinstance(value, str):
        return value
    return f"{float(value):,.0f}" if isinstance(value, Real) and value == value else ""


def quality_table(record: RunRecord) -> dict[str, object]:
    """A row per measurement: first, best and last of the averaged generator, last of the raw one."""
    rows = []
    for name in measured(record.curve):
        values, measure = record.curve[name].dropna(), measure_of(name)
        best = {"lower": values.idxmin, "higher": values.idxmax}.get(measure.better or "")
        found = f"{said(values[best()])} (round {record.curve.loc[best(), 'round']:,})" if best else "-"
        raw = record.curve[name + RAW].iloc[-1] if name + RAW in record.curve else None
        rows.append(
            [measure.title, measure.better or "-", said(values.iloc[0]), found, said(values.iloc[-1]), said(raw)]
        )
    heads = ["measurement", "better", "first", "best", "last", "last, raw generator"]
    return {"heads": heads, "numeric": [False, False, True, True, True, True], "rows": rows}


def nearest_in_words(nearest: Nearest, round: int) -> str:
    """What the distances to training images say of copies, of the samples after a round."""
    samples = f"{nearest.samples} samples of round {round:,}"
    if nearest.ratio_median is None:
        return f"Most real images have an exact copy among the others, so the distances of {samples} say little."
    ratio = f"{nearest.ratio_median:.2f} times as far from their nearest training image as a real image is from its own"
    alike, near = _ALIKE
    if nearest.ratio_median >= alike:
        verdict = "nothing here points to copies"
    elif nearest.ratio_median >= near:
        verdict = "nearer than real images are to each other; look at the rows for copies"
    else:
        verdict = "far nearer than real images are to each other, as copies are"
    return f"The {samples} are {ratio} (medians): {verdict}."


def shards_in_words(facts: DataFacts) -> str:
    """How large shards are."""
    sizes = [sum(counts) for counts in facts.device_class_counts]
    shown = "" if len(sizes) == facts.devices else f" (the first {len(sizes):,} of {facts.devices:,})"
    if not sizes:
        return "No device holds anything."
    spread = f"{min(sizes):,} to {max(sizes):,}" if min(sizes) < max(sizes) else f"{sizes[0]:,}"
    return f"{facts.devices:,} devices hold {spread} samples each{shown}."
