"""What a plan says of devices that update together."""

import pytest

from raygan.plan.planning import plan_of
from raygan.plan.sizes import make_plan
from raygan.plan.stacking import most_on_gpu, stacking
from tests.helpers import tiny

WORDS = ("devices=8", "engine.devices_per_actor=8", "gan.generator_norm=none", "gan.discriminator_norm=none")


def line(*words):
    lines, problem = plan_of(tiny(*WORDS, *words), [])
    assert problem is None
    return dict(lines).get("stacking")


def test_a_plan_tells_the_memory_of_a_group_and_how_many_fit():
    assert line() is None
    two, eight = line("engine.stacked=2"), line("engine.stacked=8")
    assert two.startswith("2 devices at a time")
    assert eight.startswith("8 devices at a time")
    fit = two.partition("enough for ")[2], eight.partition("enough for ")[2]
    assert fit[0] == fit[1] != ""


def test_a_plan_tells_why_devices_are_not_stacked():
    assert "gan.loss=tests.own:quadratic" in line("engine.stacked=2", "gan.loss=tests.own:quadratic")


def on_gpu(nodes, *words):
    """The line of a run on a fifth of a GPU for each actor."""
    shares = ("engine.executor=ray", "engine.gpus_per_device=0.2", "engine.server_gpus=0.2")
    lines, problem = plan_of(tiny(*WORDS, *shares, *words), [nodes])
    assert problem is None
    return dict(lines).get("stacking")


def test_a_plan_tells_how_many_fit_an_actors_share_of_a_gpu():
    alone = on_gpu("1xA10G")
    assert alone == (
        "one device at a time; the 4.80 GB of an actor's share of a GPU are enough for all 8 "
        "(engine.stacked, engine.devices_per_actor)"
    )
    pairs = on_gpu("1xA10G", "engine.stacked=2")
    assert pairs.startswith("2 devices at a time, about ")
    assert "; the 4.80 GB of an actor's share of a GPU are enough for all 8 (engine.stacked)" in pairs
    assert on_gpu("1xGPU").startswith("one device at a time; a gigabyte is enough for "), "its memory is not known"


def test_what_fits_does_and_one_more_does_not():
    plan = make_plan(tiny(*WORDS, "engine.stacked=8", "engine.gpus_per_device=0.2", "devices=32"))
    most = most_on_gpu(plan, plan.footprint.device_on_gpu)
    assert most == 8, "a group takes what the plan of its size says"
    assert most_on_gpu(plan, plan.footprint.device_on_gpu - 1) == 7
    each = plan.footprint.each.most + plan.footprint.each.passing + plan.footprint.samples / 8
    assert most_on_gpu(plan, 20.5 * each) == 20, "with the samples of as many"
    assert most_on_gpu(plan, 1.0) == 1
    ((_, line),) = stacking(plan, 20.5 * each)
    assert line.endswith("are enough for about 20 (engine.stacked)")


@pytest.mark.parametrize(
    "words",
    [
        ["method=tests.own:sends_nan"],
        ["gan.precision=bfloat16"],
        ["devices=1"],
        ["schedule=asynchronous", "asynchronous.buffer=1"],
    ],
)
def test_a_plan_does_not_advise_what_cannot_be(words):
    assert on_gpu("1xA10G", *words) is None


def test_a_pair_that_is_tried_takes_what_pairs_take():
    words = (*WORDS, "engine.gpus_per_device=0.2")
    alone, pairs = (make_plan(tiny(*words, f"engine.stacked={size}")).footprint for size in (1, 2))
    assert alone.each == pairs.each
    assert make_plan(tiny(*WORDS)).footprint.each is None, "nobody asked"
    assert pairs.device == pairs.each.times(2)
