"""The benchmark: its engines do the same work, its arithmetic, and the whole of it on a tiny case."""

import dataclasses
import json
import os
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch

from raygan.round.compute import threads

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.fixture
def lay(benchmarks, tmp_path):
    """Lays down a tiny work."""
    from layout import lay_out
    from work import Work, WorkFolder

    def lay(steps, devices=3):
        folder = WorkFolder(tmp_path)
        lay_out(Work(devices, steps, width=4, latent=8, batch=8, server_batch=8, samples=20), folder)
        return folder

    return lay


@pytest.mark.slow
def test_the_floor_and_raygan_do_the_same_work(lay):
    from engine_floor import Floor
    from engine_raygan import Raygan
    from work import largest_difference

    folder = lay(steps=2)
    with threads(1), closing(Floor(folder)) as floor, closing(Raygan(folder, "inline")) as raygan:
        for engine in (floor, raygan):
            assert engine.play(3).seconds > 0
        assert largest_difference(floor.discriminator(), raygan.discriminator()) < 1e-4
        assert largest_difference(floor.discriminator(), folder.initial("discriminator")) > 2e-4, "it has learned"


def test_without_work_a_device_sends_up_what_came_down(lay):
    from engine_raygan import Raygan
    from work import largest_difference

    folder = lay(steps=0)
    with closing(Raygan(folder, "inline")) as raygan:
        raygan.play(3)
        assert largest_difference(raygan.discriminator(), folder.initial("discriminator")) == 0


def test_the_steps_agree(lay):
    from step import AGREEMENT, compare_steps

    step = compare_steps(lay(steps=1, devices=1), pairs=2)
    assert step.difference <= AGREEMENT
    assert step.ratio_to_plain > 0


def test_the_normalised_steps_agree_up_to_a_power_iteration(benchmarks, tmp_path):
    """Adam's first step has one length whatever the gradient's: where another iteration turns its sign, it differs."""
    from layout import lay_out
    from step import _parameters, _Plain, _Raygan
    from work import Work, WorkFolder

    folder = WorkFolder(tmp_path)
    lay_out(Work(1, 1, width=8, latent=8, batch=16, samples=40, side=16, normalised=True), folder)
    with threads(1):
        steps = _Raygan(folder), _Plain(folder)
        for step in steps:
            step.step(0)
    ours, theirs = (_parameters(step.discriminator()) for step in steps)
    assert ours.keys() == theirs.keys()
    apart = np.concatenate([np.abs(ours[name] - theirs[name]).ravel() for name in ours]) > 1e-5
    assert apart.mean() < 0.02


@pytest.mark.parametrize(("side", "channels"), [(32, 1), (32, 3), (64, 3)])
def test_a_loop_in_one_process_does_the_same_work(benchmarks, tmp_path, side, channels):
    from engine_loop import Loop
    from engine_raygan import Raygan
    from layout import lay_out
    from work import Work, WorkFolder, largest_difference

    folder = WorkFolder(tmp_path)
    sizes = {"width": 4, "latent": 8, "batch": 8, "server_batch": 8, "samples": 20}
    lay_out(Work(3, 2, **sizes, side=side, channels=channels), folder)
    with threads(1), closing(Raygan(folder, "inline")) as raygan:
        loop = Loop(folder)
        for engine in (loop, raygan):
            assert engine.play(3).seconds > 0
        assert largest_difference(loop.discriminator(), raygan.discriminator()) < 1e-4


def test_the_networks_written_out_are_raygans(lay):
    from plain import PlainGan, dump

    folder = lay(steps=1, devices=1)
    gan = PlainGan(folder)
    for name in ("generator", "discriminator"):
        initial = folder.initial(name)
        assert all(
            torch.equal(torch.from_numpy(initial[key]), torch.from_numpy(value))
            for key, value in dump(getattr(gan, name)).items()
        )


class Canned:
    """Stands for an engine's process: a round takes as long as the command says."""

    played: ClassVar[list[tuple]] = []

    def __init__(self, name, command, folder):
        self.startup_s, self.versions, self.pid = 4.0, {}, os.getpid()
        self.name, self.s_per_round, self.value = name, command[0], command[1]

    def play(self, rounds):
        from engine import Block

        self.played.append((self.name, rounds))
        return Block(self.s_per_round * rounds, store_bytes=100 * rounds)

    def discriminator(self):
        return {"weight": np.full(3, self.value)}

    def close(self):
        self.played.append((self.name, "closed"))


@pytest.fixture
def case(benchmarks, monkeypatch):
    """Of a floor of 1 s a round, and an engine of 1.5 s that went astray, for ten devices."""
    import measure
    from tables import Case
    from work import Work, WorkFolder

    monkeypatch.setattr(measure, "EngineProcess", Canned)
    monkeypatch.setattr(Canned, "played", [])
    work, plan = Work(devices=10, steps=1), measure.Plan(pairs=3, block=7)
    engines = {"mine": [1.5, 0.25]}
    return Case(work, dict(measure.measure(work, WorkFolder(Path()), [1.0, 0.0], engines, plan)))


def test_blocks_take_turns(case):
    timed = [("floor", 7), ("mine", 7), ("mine", 7), ("floor", 7), ("floor", 7), ("mine", 7)]
    checked = [(name, rounds) for name in ("floor", "mine") for rounds in (2, 7)]
    assert Canned.played == [*checked, *timed, ("mine", "closed"), ("floor", "closed")]


def test_an_engine_is_compared_with_the_floor_pair_by_pair(case):
    mine, floor = case.engines["mine"], case.engines["floor"]
    assert (mine.s_per_round, mine.overhead_over_floor) == (1.5, 1.5)
    assert mine.ms_over_floor_per_device == pytest.approx(50)
    assert mine.device_updates_per_s == pytest.approx(10 / 1.5)
    assert mine.store_bytes_per_round == 100
    assert (floor.s_per_round, floor.overhead_over_floor, floor.difference) == (1.0, 1.0, 0.0)


def test_other_maths_is_told(case):
    from engines import disagreements
    from step import StepResult

    found = disagreements([case], StepResult(0.5, 10.0, 20.0, difference=float("nan")))
    assert [line.partition(" differs")[0] for line in found] == ["10 devices, 1 local step: mine", "raygan's step"]


def test_the_json_has_the_headline_on_top(case):
    from step import StepResult
    from tables import as_json
    from work import Work

    other = dataclasses.replace(case, work=Work(devices=10, steps=0), engines={})
    written = json.loads(json.dumps(as_json([other, case], StepResult(0.5, 10.0, 20.0, 0.0))))
    assert written.keys() == {"machine", "versions", "command", "headline", "engines", "step", "cases"}
    assert written["headline"] == case.title
    assert written["step"]["ratio_to_plain"] == 0.5
    assert written["engines"]["mine"].keys() >= {"startup_s", "s_per_round", "overhead_over_floor", "peak_private_mb"}
    assert written["engines"]["mine"]["peak_private_mb"] > 1
    assert [each["work"]["steps"] for each in written["cases"]] == [0, 1]


def test_the_table_has_a_line_for_each_engine(case):
    lines = case.table().splitlines()
    assert lines[0] == "### 10 devices, 1 local step"
    assert {line.count("|") for line in lines[2:]} == {11}
    assert any(line.startswith("| mine | 4.0 | 1.500 (1.500-1.500) | 1.50x | +50.00 |") for line in lines)


def test_an_engine_that_ends_on_its_own_is_told_with_its_last_words(benchmarks, tmp_path):
    from engine import EngineLostError, EngineProcess

    with pytest.raises(EngineLostError, match="broken ended with 1") as lost:
        EngineProcess("broken", [sys.executable, "-c", "raise ValueError('no such thing')"], tmp_path)
    assert "no such thing" in str(lost.value)


@pytest.mark.nightly
def test_the_whole_benchmark_of_a_tiny_case(tmp_path):
    words = ["--devices", "2", "--steps", "0", "1", "--pairs", "1", "--block", "1"]
    words += ["--engines", "inline", "packed", "naive"]
    command = [sys.executable, str(BENCHMARKS / "engines.py"), *words, "--json", str(tmp_path / "out.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "### 2 devices, no work" in done.stdout
    written = json.loads((tmp_path / "out.json").read_text())
    for case in written["cases"]:
        assert case["engines"].keys() == {"floor", "inline", "packed", "naive"}
        assert all(seen["difference"] <= 1e-4 for seen in case["engines"].values())
        assert case["engines"]["packed"]["store_bytes_per_round"] > 100_000
