"""A run as one self-contained HTML page."""

import json
import shlex
from pathlib import Path
from typing import Any

from raygan.config import dump_config
from raygan.config.data import Gaussians
from raygan.errors import InputError
from raygan.measures import RAW
from raygan.report.class_chart import class_chart, shares_at
from raygan.report.comparison.settings import changes, command, needs, shown_setting
from raygan.report.content import Environment
from raygan.report.frames import MOST_FRAMES, load_frame, run_frames, slider
from raygan.report.page import COLOURS, environment, write_texts
from raygan.report.partition_chart import mean_over, partition_chart
from raygan.report.quality import meanings, measure_of, measured_in, said
from raygan.report.quality_chart import CurveLine, quality_chart
from raygan.report.record import RunRecord, read_record
from raygan.report.run.charts import run_charts
from raygan.report.run.words import (
    how_it_stands,
    membership_in_words,
    membership_table,
    nearest_in_words,
    privacy_in_words,
    quality_now,
    quality_table,
    shards_in_words,
    what_it_was,
    who_took_part,
)
from raygan.report.thinning import thinning_note
from raygan.report.yardstick import changes_on_the_way, what_it_depends_on

_MOST_EVENTS = 200


def write_report(folder: Path, out: Path) -> Path:
    """Write the page `out` of the finished or running run in `folder`; returns `out`.

    Raises:
        InputError: `folder` is not a run folder, a file in it is damaged, or `out` cannot be written.
    """
    if out.suffix != ".html":
        raise InputError(f"--out: {out} is to be a page; name it with the ending .html", code="value")
    record = read_record(folder)
    facts, closing, curve = record.data, record.closing, record.curve
    page = (
        environment()
        .get_template("report.html")
        .render(
            title=folder.resolve().name,
            what=what_it_was(record),
            stands=how_it_stands(record),
            quality_now=quality_now(record),
            depends=what_it_depends_on([curve], isinstance(record.config.data, Gaussians))
            if measured_in(curve)
            else None,
            mixed=changes_on_the_way(curve),
            growth=(growth := _growth(record)),
            frames_left_out=len(curve) - len(growth["rounds"]) if growth else 0,
            classes=class_chart(record),
            quality=_quality(record),
            table=quality_table(record),
            meanings=meanings(measured_in(curve)),
            evaluations_note=thinning_note(len(curve), "evaluations"),
            charts=run_charts(record.rounds),
            everyone=who_took_part(record),
            rounds_note=thinning_note(record.last_round, "rounds"),
            events=[(event.round, event.time, event.what) for event in record.events[-_MOST_EVENTS:]],
            events_left_out=max(0, len(record.events) - _MOST_EVENTS),
            nearest=_nearest(record),
            privacy=privacy_in_words(record),
            membership=(membership_in_words(closing.membership, closing.round), membership_table(closing.membership))
            if closing and closing.membership
            else None,
            shards=shards_in_words(facts) if facts else None,
            data_notes=facts.notes if facts else [],
            partition=partition_chart(facts, closing.devices if closing else None)
            if facts and facts.devices > 1 and facts.device_class_counts
            else None,
            distances_round=closing.round if closing and closing.devices else None,
            distances_mean=mean_over(closing.devices, facts.devices) if facts and closing and closing.devices else None,
            changes=[(change.key, shown_setting(change.value), change.usual) for change in changes(record.config)],
            config=dump_config(record.config),
            environment=_environment(record.environment),
            environment_text=_text(record),
            command=command(record.config),
            needs=needs(record.config),
        )
    )
    write_texts({out: page}, out)
    return out


def _growth(record: RunRecord) -> dict[str, Any] | None:
    """Returns the pictures by round with their measurements; None without pictures."""
    curve = record.curve
    if curve.empty:
        return None
    names, by_round = measured_in(curve), curve.set_index("round")

    def cells(round: int) -> list[list[str]]:
        values = by_round.loc[round]
        return [[measure_of(name).title, said(values[name]), said(values.get(name + RAW))] for name in names]

    heads = ["measurement", "averaged", "raw"]
    frames = run_frames(record.folder, curve["round"].tolist(), MOST_FRAMES, "the run", heads, cells)
    if frames is None:
        return None
    return slider([frames], {frame.round: shares_at(record, frame.round) for frame in frames.frames})


def _quality(record: RunRecord) -> tuple[str, dict[str, object]] | None:
    names = measured_in(record.curve)
    if not names:
        return None
    averaged = CurveLine("averaged generator", COLOURS[0], "solid", record.curve, {})
    raw = CurveLine("raw generator", COLOURS[1], "dot", record.curve, {name: name + RAW for name in names})
    has_raw = any(name + RAW in record.curve for name in names)
    return quality_chart([averaged, raw] if has_raw else [averaged], names)


def _nearest(record: RunRecord) -> dict[str, object] | None:
    closing, picture = record.closing, record.nearest_picture
    if closing is None or closing.nearest is None or picture is None:
        return None
    return {
        "said": nearest_in_words(closing.nearest, closing.round),
        "picture": load_frame(picture),
        "neighbours": closing.nearest.neighbours,
    }


def _environment(facts: Environment | None) -> list[tuple[str, str]]:
    """Returns the environment of the run, in a few lines."""
    if facts is None:
        return []
    nodes = {str(process.get("node")) for process in facts.processes}
    devices = sorted({str(process.get("torch_device")) for process in facts.processes})
    ran = f"{len(facts.processes)} on {len(nodes)} node{'s' * (len(nodes) != 1)}, computing on {', '.join(devices)}"
    lines = {
        "versions": ", ".join(f"{name} {version}" for name, version in facts.versions.items()),
        "commit": facts.git_commit,
        "Python": facts.python,
        "machine": facts.machine,
        "processes": ran if facts.processes else None,
        "data": f"content hash {facts.data_digest}" if facts.data_digest else None,
        "started by": shlex.join(facts.command),
    }
    return [(name, value) for name, value in lines.items() if value]


def _text(record: RunRecord) -> str | None:
    """Returns the whole of environment.json."""
    path = record.folder.environment
    return json.dumps(json.loads(path.read_bytes()), indent=2, ensure_ascii=False) if record.environment else None
