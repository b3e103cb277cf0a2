"""Learning rates that change during a run, and runs that are resumed with others than they began with."""

import json

import pytest

import raygan
from raygan.components import METHODS
from raygan.record import checkpoint
from raygan.record.folder import RunFolder
from raygan.record.settings import check_same_run, lasting
from tests.errors import raises
from tests.helpers import same_generator, tiny

QUICK = ["data.name=tests.own:stripes", "data.options.width=3", "eval.every=9", "eval.samples=8", "eval.grid=1"]
STEPS = ["device_optimizer.lr_steps=[{round: 3, lr: 0.1}]", "generator_optimizer.lr_steps=[{round: 3, lr: 1e-4}]"]


def quick(*words):
    """Checkpoints after rounds 2 and 4, the last."""
    return tiny(*QUICK, "devices=2", "generator_optimizer.name=sgd", *words)


@pytest.mark.parametrize("method", [*METHODS, "averaged schedule=parallel"])
def test_rates_that_change_are_those_of_a_run_that_was_resumed_with_them(tmp_path, method):
    words = f"method={method}".split()
    stepped = raygan.train(quick(*words, *STEPS), tmp_path / "stepped")
    raygan.train(quick(*words, "rounds=2"), tmp_path / "resumed")
    resumed = raygan.train(quick(*words, *STEPS), tmp_path / "resumed", resume=True)
    assert same_generator(stepped, resumed)


@pytest.fixture(scope="module")
def half(tmp_path_factory):
    """Two of four rounds, with a step at the second."""
    return raygan.train(
        quick("rounds=2", "device_optimizer.lr_steps=[{round: 2, lr: 0.01}, {round: 4, lr: 0.02}]"),
        tmp_path_factory.mktemp("lr_steps") / "run",
    ).out


@pytest.mark.parametrize(
    ("steps", "shown"),
    [
        ("[]", "[]"),
        ("[{round: 3, lr: 0.01}]", "[]"),
        ("[{round: 2, lr: 0.03}]", "[{'round': 2, 'lr': 0.03}]"),
    ],
)
def test_other_rates_of_rounds_that_were_played_are_refused(half, steps, shown):
    before = sorted(file.read_bytes() for file in half.rglob("*") if file.is_file())
    was = f"device_optimizer.lr_steps ([{{'round': 2, 'lr': 0.01}}] before, {shown} now)"
    with raises("--resume", "conflict", was):
        raygan.train(quick(f"device_optimizer.lr_steps={steps}"), half, resume=True)
    assert sorted(file.read_bytes() for file in half.rglob("*") if file.is_file()) == before


def test_what_was_planned_and_not_played_binds_nobody():
    planned, other = (
        quick(f"device_optimizer.lr_steps=[{{round: 2, lr: 0.01}}, {{round: {round}, lr: 0.02}}]") for round in (4, 5)
    )
    check_same_run(lasting(planned), other, played=3)
    with raises("--resume", "conflict", "device_optimizer.lr_steps"):
        check_same_run(lasting(planned), other, played=4)


def test_a_checkpoint_that_knows_of_no_steps_is_as_one_without():
    old = {key: value for key, value in lasting(quick()).items() if not key.endswith("lr_steps")}
    check_same_run(old, quick(*STEPS), played=2)
    with raises("--resume", "conflict", "lr_steps", "([] before, [{'round': 3, 'lr': 0.1}] now)"):
        check_same_run(old, quick(*STEPS), played=3)


def test_a_checkpoint_has_the_rates_it_was_made_with(tmp_path):
    raygan.train(quick("rounds=2"), tmp_path / "run")
    result = raygan.train(quick(*STEPS), tmp_path / "run", resume=True)
    saved, _ = checkpoint.load_newest(result.out / "checkpoints", recorded=4)
    assert saved.settings == lasting(quick(*STEPS))
    with raises("--resume", "conflict", "generator_optimizer.lr_steps"):
        raygan.train(quick("rounds=6"), tmp_path / "run", resume=True)


def test_no_run_goes_on_from_what_an_earlier_try_left_of_later_rounds(tmp_path):
    """As after a kill: the checkpoint of round 4 was written, but its line was not."""
    result = raygan.train(quick(), tmp_path / "run")
    rows = RunFolder(result.out).log.rows()[:4]
    (result.out / "rounds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    raygan.train(quick(*STEPS, "rounds=3"), tmp_path / "run", resume=True)
    assert not (result.out / "checkpoints" / "round_000004").exists()
    resumed = raygan.train(quick(*STEPS), tmp_path / "run", resume=True)
    assert same_generator(resumed, raygan.train(quick(*STEPS), tmp_path / "stepped"))
