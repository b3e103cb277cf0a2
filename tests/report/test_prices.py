"""Finished runs at other prices: `raygan compare --price`."""

import json

import numpy as np
import pandas as pd
import pytest

import raygan
from raygan.cli import run
from raygan.evaluation.pricing import priced
from raygan.record.log import MetricsLog
from tests.errors import raises, refuses
from tests.helpers import tiny

CONSTANT = ["channel.name=constant", "channel.uplink_bps=1e6", "channel.downlink_bps=2e6", "compute.device_spread=0"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run of constant links and speeds, all devices alike."""
    out = tmp_path_factory.mktemp("runs") / "constant"
    raygan.train(tiny(*CONSTANT), out)
    return out


@pytest.mark.parametrize(
    "words",
    [
        ["method=mdgan", "channel.name=wireless", "channel.outage_probability=0.2"],
        ["method=centralized"],
        ["method=fedgan", "channel.name=constant", "selection.deadline_s=10", "compute.device_spread=1"],
        ["selection.name=best_channel", "selection.count=1", "channel.name=wireless", "schedule=parallel"],
    ],
    ids=lambda words: words[0],
)
def test_at_its_own_price_a_run_has_its_own_rows(words, tmp_path):
    raygan.train(tiny(*words), tmp_path / "run")
    at = priced(tmp_path / "run", [])
    recorded = MetricsLog(tmp_path / "run").rows()
    assert len(recorded) > 2
    assert at.over(recorded) == recorded
    assert at.others == 0


def test_twice_the_uplink_halves_the_time_up(folder):
    recorded = MetricsLog(folder).rows()
    rows = priced(folder, ["channel.uplink_bps=2e6"]).over(recorded)
    saved = np.cumsum([0, *(row["phases_s"]["up"] / 2 for row in recorded[1:])])
    assert saved[-1] > 0.01
    assert [row["sim_s"] for row in rows] == pytest.approx([row["sim_s"] for row in recorded] - saved)
    phases = [one | {"up": one["up"] / 2} for one in (row["phases_s"] for row in recorded[1:])]
    assert [row["phases_s"] for row in rows[1:]] == [pytest.approx(one) for one in phases]
    assert [row["bytes_up"] for row in rows[1:]] == [row["bytes_up"] for row in recorded[1:]]


def test_the_seconds_up_are_bits_over_the_rate(folder):
    """By hand: a device's update has `bytes_up` over the devices, at 1,000 bit/s."""
    recorded = MetricsLog(folder).rows()
    for row in priced(folder, ["channel.uplink_bps=1000"]).over(recorded)[1:]:
        assert row["phases_s"]["up"] == pytest.approx(8 * row["bytes_up"] / row["devices"] / 1000)


def test_half_the_bits_are_half_the_bytes(folder):
    recorded = MetricsLog(folder).rows()
    rows = priced(folder, ["channel.bits_per_parameter=16"]).over(recorded)
    for key in ("bytes_up", "bytes_down"):
        assert [2 * row[key] for row in rows[1:]] == [row[key] for row in recorded[1:]]


def test_the_command_says_what_seconds_are_of(folder, tmp_path, capsys):
    def columns(*words):
        out = tmp_path / "page.html"
        assert run(["compare", str(folder), "--target", "1e9", "--out", str(out), *words]) == 0
        curves = pd.read_csv(tmp_path / "page-curves.csv")
        return out.read_text(), capsys.readouterr().out, curves

    page, text, own = columns()
    assert "are those with" not in page + text
    assert "price" not in own
    page, text, slow = columns("--price", "channel.uplink_bps=1e5", "--price", "compute.server_flops=1e9")
    said = "settings are those with channel.uplink_bps=1e5, compute.server_flops=1e9 in every run."
    assert said in page
    assert said in text
    assert set(slow["price"]) == {"channel.uplink_bps=1e5 compute.server_flops=1e9"}
    assert slow["sim_s"].iloc[-1] > 2 * own["sim_s"].iloc[-1]
    assert slow["fd_clf"].tolist() == own["fd_clf"].tolist()
    assert slow["megabytes"].tolist() == own["megabytes"].tolist()
    *_, half = columns("--price", "channel.bits_per_parameter=16")
    assert half["megabytes"].tolist() == pytest.approx((own["megabytes"] / 2).tolist())


def test_other_devices_in_a_round_are_told(tmp_path):
    words = ["channel.name=constant", "channel.uplink_bps=[1e6,2e6,3e6,4e6]", "devices=4"]
    raygan.train(tiny(*words, "selection.name=best_channel", "selection.count=1", "rounds=3"), tmp_path / "best")
    other = priced(tmp_path / "best", ["channel.uplink_bps=[4e6,3e6,2e6,1e6]"])
    assert other.others == 3
    out = tmp_path / "page.html"
    command = ["compare", str(tmp_path / "best"), "--out", str(out), "--price", "channel.uplink_bps=[4e6,3e6,2e6,1e6]"]
    assert run(command) == 0
    assert "best: with that, other devices would have taken part in 3 of 3 rounds; seconds and" in out.read_text()


@pytest.mark.parametrize(
    ("word", "code"),
    [
        ("rounds=3", "unknown"),
        ("channel={name: none}", "unknown"),
        ("selection.count=1", "unknown"),
        ("channel.uplink_bps", "value"),
        ("channel.uplink=1", "unknown"),
        ("channel.uplink_bps=-1", "value"),
    ],
)
def test_what_has_no_price_is_refused(folder, tmp_path, word, code):
    words = ["compare", folder, "--out", tmp_path / "page.html", "--price", word]
    refuses(words, "--price", code, word.partition("=")[0])
    assert not (tmp_path / "page.html").exists()


def test_other_data_is_refused(folder, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("config.yaml", "rounds.jsonl", "evaluations.jsonl"):
        (copy / name).write_bytes((folder / name).read_bytes())
    (copy / "data.json").write_text(json.dumps({"digest": "another"}))
    with raises("copy", "mismatch", "--price"):
        priced(copy, [])
