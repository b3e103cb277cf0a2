"""What a plan says of devices that update together."""

from raygan.plan.planning import plan_of
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
