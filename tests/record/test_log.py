"""The log: rounds and evaluations, each written when it is done, and read together."""

import json

import pytest

from raygan.record.folder import RunFolder
from raygan.record.log import MetricsLog
from tests.errors import raises


def played(round, **more):
    return {"round": round, "wall_s": 1.0, "sim_s": 2.0, **more}


@pytest.fixture
def log(tmp_path):
    log = MetricsLog(tmp_path)
    for round in range(4):
        log.append_round(played(round, d_loss=0.5))
    log.append_evaluation(0, {"fd_clf": 9.0})
    log.append_evaluation(2, {"fd_clf": 8.0})
    return log


def test_a_row_has_what_was_measured_of_its_round(log):
    assert [row.get("fd_clf") for row in log.rows()] == [9.0, None, 8.0, None]
    assert (log.last_round(), log.last_evaluation()) == (3, 2)


def test_an_evaluation_of_a_round_that_was_written_a_moment_later_is_left_out(log):
    log.append_evaluation(4, {"fd_clf": 7.0})
    assert len(log.rows()) == 4


def test_without_files_there_is_nothing(tmp_path):
    empty = MetricsLog(tmp_path)
    assert (empty.rows(), empty.last_round(), empty.last_evaluation()) == ([], -1, -1)
    empty.trim(3)
    assert empty.rows() == []


def test_half_a_line_is_no_line_and_is_dropped(log):
    for path in (log.rounds, log.evaluations):
        with path.open("a") as file:
            file.write('{"round": 4, "wall')
    assert (len(log.rows()), log.last_round(), log.last_evaluation()) == (4, 3, 2)
    log.trim(2)
    assert (log.last_round(), log.last_evaluation()) == (2, 2)
    log.trim(1)
    assert (log.last_round(), log.last_evaluation()) == (1, 0)


@pytest.mark.parametrize("length", [10, 2**16 - 40, 2**16, 2**18, 3 * 2**20])
def test_a_line_may_be_long(tmp_path, length):
    log = MetricsLog(tmp_path)
    for round in range(3):
        log.append_round(played(round, dropped={"1": "x" * length}))
    assert log.last_round() == 2
    with log.rounds.open("a") as file:
        file.write("y" * length)
    assert log.last_round() == 2
    assert len(log.rows()) == 3


@pytest.mark.parametrize(
    ("name", "line", "about"),
    [
        ("rounds", "{", ("rounds.jsonl", "damaged", "line 5")),
        ("rounds", "[]", ("rounds.jsonl", "damaged", "line 5")),
        ("rounds", json.dumps(played(7)), ("rounds.jsonl", "damaged", "line 5", "round 4")),
        ("evaluations", '{"fd_clf": 3}', ("evaluations.jsonl", "damaged", "line 3")),
        ("evaluations", '{"round": true}', ("evaluations.jsonl", "damaged", "line 3")),
    ],
)
def test_damage_is_said_with_its_file_and_line(log, name, line, about):
    with getattr(log, name).open("a") as file:
        file.write(line + "\n")
    with raises(*about):
        log.rows()


def test_what_waits_for_its_evaluation_goes_with_its_round(tmp_path, log):
    folder = RunFolder(tmp_path)
    folder.pending.mkdir()
    for round in (0, 2, 3, 4):
        folder.generators_of(round).touch()
    (folder.pending / ".round_000003.safetensors.abc").touch()
    folder.trim(3)
    assert folder.pending_rounds() == [3], "0 and 2 are evaluated, 4 is not played"
    assert [path.name for path in folder.pending.iterdir()] == ["round_000003.safetensors"]
    folder.drop_pending(3)
    assert not folder.pending.exists()
