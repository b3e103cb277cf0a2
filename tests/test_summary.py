"""What is said in the end of a run."""

import json
from io import StringIO
from signal import SIGINT

from rich.console import Console

from raygan.run.result import Result
from raygan.summary import summarise


def said(folder, *evaluations, stopped_by=None, complete=True):
    """Of a run with these evaluations (sample count, FD-clf), one a round."""
    rows = [
        {"round": place, "wall_s": 0, "sim_s": 0, "eval_samples": samples, "fd_clf": distance}
        for place, (samples, distance) in enumerate(evaluations)
    ]
    (folder / "rounds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = StringIO()
    summarise(Result(folder, 2, stopped_by, complete=complete), Console(file=text, width=200))
    return [line.strip() for line in text.getvalue().splitlines()]


def test_the_first_and_the_last_value(tmp_path):
    lines = said(tmp_path, (50, 90.0), (50, 60.0), (50, 30.0))
    assert lines[:3] == ["2 rounds done.", "round 0: FD-clf 90.0", "round 2: FD-clf 30.0"]


def test_the_first_is_one_that_was_measured_as_the_last_was(tmp_path):
    assert said(tmp_path, (50, 90.0), (99, 60.0), (99, 30.0))[1:3] == ["round 1: FD-clf 60.0", "round 2: FD-clf 30.0"]


def test_a_value_is_said_once_and_an_early_end_is_said(tmp_path):
    lines = said(tmp_path, (50, 90.0), stopped_by=SIGINT)
    assert lines[0] == "2 rounds done, then interrupted; that was all of them."
    assert [line for line in lines if line.startswith("round")] == ["round 0: FD-clf 90.0"]
    early = said(tmp_path, (50, 90.0), stopped_by=SIGINT, complete=False)
    assert early[0] == "2 rounds done, then interrupted; resume=True goes on."
