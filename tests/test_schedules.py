"""The drawing of the schedules and the table beside it are of today's clock."""

import re
import sys

import pytest

from tests.test_docs import ROOT


@pytest.fixture(scope="module")
def script():
    sys.path.insert(0, str(ROOT / "scripts"))
    try:
        import draw_schedules
    finally:
        sys.path.pop(0)
    return draw_schedules


@pytest.fixture(scope="module")
def schedules(script):
    return script.schedule("serial"), script.schedule("parallel")


def test_page_and_drawing_are_current(script, schedules):
    page = script.PAGE.read_text()
    assert script.written(page, *schedules) == page, "run python scripts/draw_schedules.py"
    assert script.described(*schedules) in script.DRAWING.read_text(), "run python scripts/draw_schedules.py"
    (shown,) = re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    assert script.SETTINGS.read_text().endswith(shown), "the page shows the file"


def test_the_lanes_end_when_the_clock_says_that_the_round_does(script, schedules):
    for schedule in schedules:
        whole = schedule.whole
        ends = dict.fromkeys(range(4), 0.0)
        for bar in script.bars(schedule, 2):
            assert bar.start >= ends[bar.lane] - 1e-9, "nobody does two things at a time"
            ends[bar.lane] = bar.start + bar.length
        assert max(ends.values()) == pytest.approx(2 * whole.seconds, abs=1e-4), "but for the average"
        slowest = max(schedule.alone, key=lambda alone: alone.device + alone.up)
        assert (whole.down, whole.device, whole.up) == (slowest.down, slowest.device, slowest.up)


def test_parallel_saves_the_shorter_of_both_times(schedules):
    serial, parallel = (one.whole for one in schedules)
    saved = min(serial.device + serial.up, serial.server)
    assert serial.seconds - parallel.seconds == pytest.approx(saved)
    assert f"all of the generator's {saved:.4f} s" in (ROOT / "docs" / "schedules.md").read_text()


def test_it_draws(script, schedules, tmp_path):
    script.draw(*schedules, tmp_path / "drawn.svg")
    text = (tmp_path / "drawn.svg").read_text()
    assert all(word in text for word in (">round 3<", ">device 2<", ">generator steps<"))
