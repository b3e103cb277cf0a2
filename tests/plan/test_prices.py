"""What nodes and runs cost, in closed forms."""

import pytest

from raygan.cli import run
from raygan.plan.described import described_site
from raygan.plan.prices import cost_lines, prices_of
from tests.errors import raises
from tests.helpers import TINY

MACHINES = described_site(["1x0cpu:32GB", "4xA10G", "2x4xGPU"]).machines


def test_prices_are_by_the_kind_of_a_node():
    assert prices_of(["a10g=1.2", "4xA10G=5.7", "008cpu=0.40", "gpu=2"]) == {
        "A10G": 1.2,
        "4xA10G": 5.7,
        "8cpu": 0.4,
        "GPU": 2.0,
    }


def test_an_hour_and_a_run():
    prices = {"0cpu": 0.4, "A10G": 1.2}
    hour = ("price", "5.20 an hour: 1 x 0cpu at 0.4, 4 x A10G at 1.2; without a price: 2 x 4xGPU")
    assert cost_lines(MACHINES, prices, 900, 2.0) == [
        hour,
        ("cost", "2.60 for the rounds (900 of 2 s, 0.5 hours); start, evaluations and idle time come on top"),
    ]
    assert cost_lines(MACHINES, prices, 900, None) == [
        hour,
        ("cost", "1.3 for every second that a round takes (900 rounds; --round-s)"),
    ]
    assert cost_lines(MACHINES, {}, 900, None) == []


@pytest.mark.parametrize(
    ("words", "about"),
    [
        (["A10G"], (None, "A10G")),
        (["A10G=-1"], (None, "A10G=-1")),
        (["A10=1"], (None, "'A10'", "A10G")),
        (["A10G=1", "1xa10g=2"], (None, "1xa10g=2", "A10G")),
    ],
)
def test_what_is_refused(words, about):
    with raises("--price", *about):
        prices_of(words)


def test_a_price_of_a_node_that_is_not_there():
    with raises("--price", None, "T4", "0cpu, A10G, 4xGPU"):
        cost_lines(MACHINES, {"T4": 1.0}, 1, None)


def test_the_command(capsys):
    words = ["plan", *TINY, "engine.executor=ray", "--nodes", "2x8cpu", "rounds=7200"]
    assert run([*words, "--price", "8cpu=0.5", "--round-s", "0.5"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "price       1.00 an hour: 2 x 8cpu at 0.5",
        "cost        1.00 for the rounds (7200 of 0.5 s, 1 hours); start, evaluations and idle time come on top",
    ]
    assert run([*words, "--round-s", "0.5"]) == 2
    assert run(["plan", *TINY, "--price", "8cpu=0.5"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "raygan: --round-s: it is for the cost of a run; give the price of nodes, too (--price A10G=1.2)",
        "raygan: --price: engine.executor=inline plays a run in one process; leave --price out, or that",
    ]
