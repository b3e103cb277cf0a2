"""Sentences about a run's settings, state and results."""

from typing import Any

import pandas as pd

from raygan.config.privacy import NoPrivacy, RecordLevel
from raygan.config.simulation import Poisson
from raygan.errors import counted
from raygan.measures import RAW
from raygan.report.content import Area, DataFacts, Membership, Nearest
from raygan.report.progress import bytes_in_words, duration
from raygan.report.quality import direction, in_words, measure_of, measured_in, said
from raygan.report.record import RunRecord
from raygan.report.run.charts import everyone_took_part
from raygan.report.yardstick import measured_alike

_ALIKE = (0.8, 0.5)  # shares of the distance between real images; the wording below them is ours


def what_it_was(record: RunRecord) -> str:
    """Returns method, schedule, data, partition, devices and rounds in one line."""
    config = record.config
    scheduled = config.method == "averaged" or config.schedule == "asynchronous"
    method = f"{config.method}, {config.schedule}" if scheduled else config.method
    words = [f"{method} on {_data(record)}"]
    if config.method == "centralized":
        words.append("all of it at the server")
    else:
        count = getattr(config.selection, "count", None)
        about = "about " if isinstance(config.selection, Poisson) else ""
        chosen = f", {about}{count} of them in each round ({config.selection.name})" if count else ""
        if config.schedule == "asynchronous":
            buffer, running = config.asynchronous.buffer, config.asynchronous.running or config.devices
            chosen = f", {running} of them at once, and a version (a round here) of every {counted(buffer, 'update')}"
        words.append(f"{config.data.partition.name} partition over {counted(config.devices, 'device')}{chosen}")
        if config.channel.name != "none":
            words.append(f"links: {config.channel.name}")
    words.append(f"{counted(config.rounds, 'round')}, seed {config.seed}")
    return "; ".join(words) + "."


def _data(record: RunRecord) -> str:
    facts = record.data
    if facts is None:
        return record.config.data.name
    shape = " by ".join(map(str, facts.shape[1:])) + (" in colour" if facts.shape[0] == 3 else " in grey")
    what = f"{counted(facts.samples, 'image')} of {shape}" if len(facts.shape) == 3 else counted(facts.samples, "point")
    classes = f", {len(facts.classes)} classes" if len(facts.classes) > 1 else ""
    return f"{facts.name} ({what}{classes})"


def how_it_stands(record: RunRecord) -> str:
    """Returns whether the run is over, and its cost so far."""
    last, rounds = record.last_round, record.config.rounds
    spent = _spent(record)
    if record.rounds.empty:
        state = f"No round is recorded yet, of {rounds:,}."
    elif last >= rounds:
        state = f"All {rounds:,} rounds are played" if rounds > 1 else "Its one round is played"
        if (failure := _failure(record)) and record.ended is None:
            state += f", but the run failed behind the last, unless it was resumed since ({failure})"
    elif failure := _failure(record):
        state = f"Ended by an error behind round {last:,} of {rounds:,}, unless it was resumed since ({failure})"
    elif record.ended == last:
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
    """Returns the last line of error.txt, if nothing was recorded after it."""
    error, rounds = record.folder.error, record.folder.log.rounds
    if not error.is_file() or (rounds.exists() and rounds.stat().st_mtime > error.stat().st_mtime):
        return None
    lines = error.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return f"error.txt: {lines[-1].strip()}" if lines else "error.txt"


def quality_now(record: RunRecord) -> str:
    """Returns the newest value of the preferred measure, with the first value that was measured in the same way."""
    if not (names := measured_in(record.curve)):
        if not record.config.eval.metrics and len(record.curve):
            return "Nothing is measured (eval.metrics is empty)."
        return "Nothing has been measured yet."
    name, rank = names[0], direction(names[0])
    alike = measured_alike(record.curve, name)
    first, last = evaluation(alike, 0), evaluation(alike, -1)
    before = f" ({said(first[name])} at round {first['round']:,}{f'; {rank}' if rank else ''})"
    return f"Round {last['round']:,}: {in_words(last, name, before)}."


def evaluation(curve: pd.DataFrame, place: int) -> dict[str, Any]:
    """Returns the values of a row of a curve, each with its own type."""
    values = {str(column): curve[column].iloc[place] for column in curve}
    return {column: value for column, value in values.items() if isinstance(value, list) or not pd.isna(value)}


def quality_table(record: RunRecord) -> dict[str, object]:
    """Returns a row per measurement: first, best and last of the averaged generator, last of the raw one.

    All have the yardstick of the last. Round 0, the untrained generator, is the best only if it is the only one; if it
    was better than all later ones, the table says so.
    """
    rows, untrained_better = [], []
    for name in measured_in(record.curve):
        alike, measure = measured_alike(record.curve, name), measure_of(name)
        values, rounds = alike[name], alike["round"]
        trained = values[rounds > 0] if (rounds > 0).any() else values
        best = {"lower": trained.idxmin, "higher": trained.idxmax}.get(measure.better or "")
        found = f"{said(values[best()])} (round {rounds[best()]:,})" if best else "-"
        if best and _better(values[~values.index.isin(trained.index)], values[best()], measure.better):
            untrained_better.append(measure.title)
        cut = alike.index[0] != record.curve[name].first_valid_index()
        later = f" (round {rounds.iloc[0]:,})" if cut else ""
        raw = alike[name + RAW].iloc[-1] if name + RAW in alike else None
        first, last = said(values.iloc[0]) + later, said(values.iloc[-1])
        rows.append([measure.title, measure.better or "-", first, found, last, said(raw)])
    heads = ["measurement", "better", "first", "best", "last", "last, raw generator"]
    note = "Round 0 is the untrained generator; it is never counted as the best."
    if untrained_better:
        note += f" It was better than every round behind it by {', '.join(untrained_better)}: training made it worse."
    return {"heads": heads, "numeric": [False, False, True, True, True, True], "rows": rows, "note": note}


def _better(untrained: pd.Series, best: float, better: str | None) -> bool:
    """Returns whether the untrained generator was better than the best later one."""
    return bool((untrained < best).any() if better == "lower" else (untrained > best).any())


def nearest_in_words(nearest: Nearest, round: int) -> str:
    """Returns what the distances to training images say about copies among the samples after a round."""
    samples = f"{counted(nearest.samples, 'sample')} of round {round:,}"
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
    return f"The {samples} {'is' if nearest.samples == 1 else 'are'} {ratio} (medians): {verdict}."


def privacy_in_words(record: RunRecord) -> str | None:
    """Returns what a private run has spent so far; None of any other run."""
    privacy = record.config.privacy
    if isinstance(privacy, NoPrivacy) or record.rounds.empty:
        return None
    after = f"after {counted(record.last_round, 'round')}"
    if pd.isna(epsilon := record.rounds["epsilon"].iloc[-1]):
        what = "Gradients" if isinstance(privacy, RecordLevel) else "Updates"
        return f"{what} are clipped, but {after} no epsilon bounds what the generator tells: there is no noise."
    if isinstance(privacy, RecordLevel):
        return (
            f"Record-level differential privacy within each device {after}: epsilon {epsilon:.3g} at delta "
            f"{privacy.delta:g} for a sample of the device with the fewest (gradients of a sample clipped to "
            f"{privacy.clip:g}, noise multiplier {privacy.noise_multiplier:g}). It is of all that devices send, not of "
            "the measurements and real images on this page. Noise drawn by a known seed protects nobody."
        )
    clip = (
        f"{privacy.clip:g}" if privacy.clip_quantile is None else f"quantile {privacy.clip_quantile:g} of their norms"
    )
    return (
        f"User-level differential privacy {after}: epsilon {epsilon:.3g} at delta {privacy.delta:g} (updates clipped "
        f"to {clip}, noise multiplier {privacy.noise_multiplier:g}). It is of the generator and of what "
        "devices are sent, not of what the server sees. The measurements and real images on this page are not covered, "
        "and noise drawn by a known seed protects nobody."
    )


def membership_in_words(found: Membership, round: int) -> str:
    """Returns what the attacks on the generator of a round have found."""
    tried = f"{counted(found.members, 'sample')} that the run was trained on and {found.others:,} that were held out"
    attacks = {"the nearest generated sample": found.nearest, "the discriminator": found.discriminator}
    said_of = []
    for name, attack in attacks.items():
        if attack is not None and attack.all is not None:
            area = attack.all
            told = "tells them apart" if area.low > 0.5 else "does not tell them apart"
            said_of.append(f"{name} {told} (AUC {area.auc:.3f}, 95 % from {area.low:.3f} to {area.high:.3f})")
    return f"Of {tried}, at round {round:,}: {'; '.join(said_of) or 'too few to tell'}. 0.5 is a coin."


def membership_table(found: Membership) -> dict[str, object]:
    """Returns a row per device, with the AUC of each attack and its interval."""
    attacks = {"nearest generated sample": found.nearest, "discriminator": found.discriminator}
    named = {name: attack for name, attack in attacks.items() if attack is not None}
    rows = [
        [str(device), *(_area(attack.devices[device]) for attack in named.values())]
        for device in range(len(found.nearest.devices))
    ]
    return {"heads": ["device", *named], "numeric": [True, *[True] * len(named)], "rows": rows}


def _area(area: Area | None) -> str:
    return "-" if area is None else f"{area.auc:.3f} ({area.low:.3f} to {area.high:.3f})"


def shards_in_words(facts: DataFacts) -> str:
    """Returns the sizes of the shards in words."""
    sizes = [sum(counts) for counts in facts.device_class_counts]
    shown = "" if len(sizes) == facts.devices else f" (the first {len(sizes):,} of {facts.devices:,})"
    if not sizes:
        return "No device holds anything."
    spread = f"{min(sizes):,} to {max(sizes):,} samples" if min(sizes) < max(sizes) else counted(sizes[0], "sample")
    holding = f"1 device holds {spread}" if facts.devices == 1 else f"{facts.devices:,} devices hold {spread} each"
    return f"{holding}{shown}."


def who_took_part(record: RunRecord) -> str | None:
    """Returns a sentence if the same devices took part in every round, else None."""
    if record.config.method == "centralized":
        return "The server alone, in every round: it has all of the data, and no device takes part."
    if (count := everyone_took_part(record.rounds)) is None:
        return None
    if record.config.schedule == "asynchronous":
        return f"{counted(count, 'device')} in every version, whoever came next; none was left out."
    return f"{counted(count, 'device')} in every round; none missed one, none was left out."
