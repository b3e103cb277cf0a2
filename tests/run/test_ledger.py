"""Rounds on their way to the log: who is left out is one line, however many they are."""

import pytest

from raygan.executors.transport import Pending
from raygan.record.folder import RunFolder
from raygan.round.reports import Outcome
from raygan.run.ledger import Ledger
from tests.helpers import Watch


class Over(Pending):
    """Work that is over."""

    def __init__(self, outcome):
        super().__init__(None, [], lambda: outcome)

    def done(self):
        return True


@pytest.mark.parametrize(
    ("missing", "said"),
    [
        ([4], "round 1 goes on without device 4 (gone)"),
        ([2, 4], "round 1 goes on without device 2 (gone), device 4 (gone)"),
        (
            range(10_000),
            "round 1 goes on without device 0 (gone), device 1 (gone), device 2 (gone), 9,997 more devices",
        ),
    ],
)
def test_devices_that_are_left_out_are_one_event(tmp_path, missing, said):
    folder, watch = RunFolder(tmp_path), Watch()
    ledger = Ledger(folder, [watch], 0)
    ledger.add_round(0, None, {"sim_s": 0.0})
    for round in (1, 2):
        outcome = Outcome({"d_loss": 0.5}, dict.fromkeys(missing, "gone"), {})
        ledger.add_round(round, Over(outcome), {"sim_s": 1.0, "devices": 20_000})
    ledger.finish()
    assert watch.phases == [said], "and not once more in the next round"
    assert len(folder.events.read_text().splitlines()) == 1
    assert len(folder.log.rows()[2]["dropped"]) == len(missing)
