"""docs/study.md and the script behind it: its numbers hang together, and its prices are of today's clock."""

import re
import subprocess
import sys

import pytest
from ruamel.yaml import YAML

import raygan
from raygan.config.load import check_config
from raygan.data import load_data, split
from raygan.round.simulation import try_out
from tests.helpers import TINY, same_generator, tiny
from tests.test_docs import ROOT
from tests.test_reproduce import tree_of

SCRIPT = ROOT / "scripts" / "study_uplink.py"
SETTINGS = YAML(typ="safe", pure=True).load(SCRIPT.with_suffix(".yaml"))
PAGE = ROOT / "docs" / "study.md"


def rows(text, columns):
    """Table rows of so many columns, without the head."""
    found = [[part.strip() for part in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("| ")]
    return [row for row in found if len(row) == columns and row[0] in SETTINGS["studies"]]


PRICES = rows(PAGE.read_text(), 8)
ROUNDS = rows(PAGE.read_text(), 5)


def test_ratios_in_the_text_are_of_the_tables():
    before, table, after = re.split("<!-- (?:written|end).*-->", PAGE.read_text())
    quoted = re.findall(r"\d\.\d\d \[[^\]]+\]", before + after)
    assert len(quoted) > 3
    assert [ratio for ratio in quoted if ratio not in table] == []


def test_the_page_shows_one_of_the_runs():
    (shown,) = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
    settings = [SETTINGS["base"], SETTINGS["data"]["digits"], SETTINGS["studies"]["one step"]["base"]]
    played = {"schedule": "serial", "seed": 0}
    for part in settings:
        played = laid_over(played, part)
    assert check_config(YAML(typ="safe", pure=True).load(shown)) == check_config(played)


def first_number(text):
    return float(re.match(r"[\d.e+-]+", text)[0])


def test_the_page_has_every_study_target_server_and_uplink():
    studies = len(SETTINGS["studies"])
    assert len(PRICES) == studies * len(SETTINGS["server_flops"]) * len(SETTINGS["uplink_bps"])
    assert len(ROUNDS) == studies * len(SETTINGS["targets"])


@pytest.mark.parametrize("row", PRICES, ids=lambda row: "-".join(row[:3]))
def test_a_price_follows_from_rounds_and_seconds_of_a_round(row):
    """The training is the same at every price: seconds are rounds times the seconds of one."""
    study, _, _, serial, parallel, saved, ratio, verdict = row
    assert float(saved.rstrip("%")) / 100 == pytest.approx(1 - float(parallel) / float(serial), abs=0.011)
    (rounds,) = [line[4] for line in ROUNDS if line[0] == study and line[1].startswith(f"{SETTINGS['targets'][0]:.0%}")]
    expected = first_number(rounds) * (1 - float(saved.rstrip("%")) / 100)
    assert first_number(ratio) == pytest.approx(expected, abs=0.011)
    low, high = map(float, re.search(r"\[([\d.]+), ([\d.]+)\]", ratio).groups())
    assert verdict == ("yes" if high < 1 else "no" if low > 1 else "open")


def laid_over(below, above):
    both = {
        key: laid_over(below[key], value) for key, value in above.items() if isinstance(value, dict) and key in below
    }
    return below | above | both


@pytest.mark.parametrize("row", PRICES[:: len(PRICES) // 4], ids=lambda row: "-".join(row[:3]))
@pytest.mark.parametrize("schedule", ["serial", "parallel"])
def test_a_round_takes_what_the_clock_says(row, schedule):
    study, server, uplink = row[0], float(row[1]) * 1e9, float(row[2]) * 1e6
    own = {"schedule": schedule, "channel": {"uplink_bps": uplink}, "compute": {"server_flops": server}}
    config = check_config(laid_over(laid_over(SETTINGS["base"], SETTINGS["studies"][study]["base"]), own))
    images = load_data(config.data, config.seed)
    _, clock = try_out(config, images, split(images.labels, config.devices, config.data.partition, config.seed))
    shown = float(row[3 if schedule == "serial" else 4])
    assert clock.round(1).phases.seconds == pytest.approx(shown, rel=0.005)


def test_links_and_speeds_decide_nothing_in_the_training(tmp_path):
    """Why a run may be priced again: everybody takes part, whatever it costs."""
    prices = {"fast": [], "slow": ["channel.uplink_bps=1e3", "compute.server_flops=1e6"]}
    runs = {
        name: raygan.train(tiny("channel.name=constant", "schedule=parallel", *words), tmp_path / name)
        for name, words in prices.items()
    }
    assert same_generator(*runs.values())
    fast, slow = (run.rows[-1]["sim_s"] for run in runs.values())
    assert slow > 100 * fast


@pytest.mark.nightly
def test_a_small_study_runs_and_is_written(tmp_path):
    small = SETTINGS | {
        "seeds": [0, 1],
        "targets": [0.99999],
        "base": tree_of(TINY) | {"channel": {"name": "constant"}, "device_optimizer": {"lr": 1e-2}},
        "studies": {
            "few": {
                "base": {"rounds": 30, "generator_optimizer": {"lr": 1e-2}},
                "methods": {"serial": {}, "parallel": {}},
                "data": ["digits"],
                "splits": ["iid"],
            }
        },
    }
    YAML(typ="safe", pure=True).dump(small, tmp_path / "small.yaml")
    page = tmp_path / "page.md"
    page.write_text("above\n<!-- written by scripts/study_uplink.py: begin -->\nstale\n<!-- end -->\nbelow\n")
    command = [sys.executable, str(SCRIPT), "--settings", "small.yaml", "--out", "runs", "--page", "page.md"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    text = page.read_text()
    assert text.startswith("above\n")
    assert text.endswith("<!-- end -->\nbelow\n")
    assert "stale" not in text
    written = [line for line in text.splitlines() if line.startswith("| few |")]
    assert len(written) == 1 + len(SETTINGS["server_flops"]) * len(SETTINGS["uplink_bps"])
    assert page.with_suffix(".png").stat().st_size > 10_000
    trained = {path: path.stat().st_mtime_ns for path in tmp_path.glob("runs/*/generator.safetensors")}
    assert len(trained) == 4
    assert subprocess.run(command, cwd=tmp_path, capture_output=True).returncode == 0
    assert {path: path.stat().st_mtime_ns for path in trained} == trained, "nothing is trained twice"
