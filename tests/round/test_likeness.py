"""Processes that compute other bits than others, or than before."""

import json
import os
import subprocess
import sys

import pytest
import torch

import raygan
from raygan import load_config
from raygan.record.folder import RunFolder
from raygan.round.likeness import device_steps, server_steps, step_digest, unlike_before, unlike_each_other
from raygan.round.server import Server
from raygan.round.worker import Worker
from tests.helpers import TINY, Watch, tiny

CPU = torch.device("cpu")
PLAYED = """
import hashlib, sys
import torch
import raygan
from raygan import load_config
from raygan.round.likeness import step_digest
config = load_config(None, sys.argv[2:])
result = raygan.train(config, sys.argv[1])
generator = hashlib.sha256(result.generator.read_bytes()).hexdigest()
print(step_digest(config, (1, 16, 16), torch.device("cpu"), 1), generator)
"""


def process(role, address, step="cpu:1", asked="CPU, threads: 1", instructions="AVX2"):
    return {"role": role, "address": address, "instructions": instructions, "steps": {asked: step}}


SERVER = process("server", "10.0.0.1")


def test_who_is_unlike_whom_is_said():
    others = [process(f"device {number}", "10.0.0.2") for number in range(4)]
    assert unlike_each_other([SERVER, *others]) is None
    odd = process("device 4", "10.0.0.3", "cpu:2", instructions="AVX512")
    assert unlike_each_other([SERVER, *others, odd]) == (
        "device 4 on 10.0.0.3 (AVX512) computed other bits of one and the same step of this run's networks than server "
        "on 10.0.0.1 (AVX2), device 0 on 10.0.0.2 (AVX2), device 1 on 10.0.0.2 (AVX2) and 2 more: the last bits of the "
        "numbers depend on which process is where"
    )


def test_like_is_compared_with_like():
    two_threads = process("device 0", "10.0.0.1", "cpu:2", "CPU, threads: 2")
    recorder = {"role": "recorder", "address": "10.0.0.1"}
    assert unlike_each_other([SERVER, two_threads, recorder]) is None
    assert unlike_before([SERVER], [two_threads, recorder]) is None
    assert "device 1 on 10.0.0.1" in unlike_each_other(
        [SERVER, two_threads, process("device 1", "10.0.0.1", "cpu:1", "CPU, threads: 2")]
    )


def test_so_is_what_was_there_before():
    assert unlike_before([SERVER], [process("all", "10.0.0.9")]) is None
    assert unlike_before([SERVER], []) is None
    told = unlike_before([SERVER], [process("all", "10.0.0.9", "cpu:3")])
    assert told.startswith("server on 10.0.0.1 (AVX2) computed other bits of one")
    assert "than all on 10.0.0.9 (AVX2) had before: " in told


@pytest.mark.parametrize("words", [[], ["gan.loss=wgan_gp"], ["gan.generator=mlp", "gan.discriminator=mlp"]])
def test_a_step_is_the_same_each_time_and_disturbs_nothing(words):
    config = load_config(None, [*TINY, *words])
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first = step_digest(config, (1, 16, 16), CPU, 1)
    assert torch.equal(torch.rand(3), expected)
    assert step_digest(config, (1, 16, 16), CPU, 1) == first
    assert step_digest(config.model_copy(update={"seed": 1}), (1, 16, 16), CPU, 1) != first


def test_threads_and_devices_that_are_asked_for_tell_apart():
    config = tiny("engine.server_threads=2", "engine.gpus_per_device=0.5")
    assert [*device_steps(config, (1, 16, 16), CPU)] == ["GPU, threads: 1"]
    assert [*server_steps(config, (1, 16, 16), CPU)] == ["CPU, threads: 2"]


def test_it_is_recorded_and_said_when_a_run_goes_on_elsewhere(tmp_path, monkeypatch):
    raygan.train(tiny("rounds=2"), tmp_path / "run")
    for before in RunFolder(tmp_path / "run").processes():
        assert before["steps"] == device_steps(tiny(), (1, 16, 16), CPU)
    same = Watch()
    raygan.train(tiny("rounds=3"), tmp_path / "run", resume=True, watchers=[same])
    assert not [text for text in same.phases if "other bits" in text]
    monkeypatch.setattr(Worker, "steps", lambda *_: {"CPU, threads: 1": "cpu:0"})
    monkeypatch.setattr(Server, "steps", lambda *_: {"CPU, threads: 1": "cpu:0"})
    other = Watch()
    raygan.train(tiny(), tmp_path / "run", resume=True, watchers=[other])
    (told,) = [text for text in other.phases if "other bits" in text]
    events = [json.loads(line) for line in (tmp_path / "run" / "events.jsonl").read_text().splitlines()]
    assert told in [event["what"] for event in events]


@pytest.mark.slow
def test_the_step_tells_what_the_run_shows(tmp_path):
    """Unlike steps where the generators are unlike, and only there."""
    found = {}
    for number, other in enumerate([{}, {"ONEDNN_MAX_CPU_ISA": "AVX2"}, {"ATEN_CPU_CAPABILITY": "avx2"}]):
        done = subprocess.run(
            [sys.executable, "-c", PLAYED, str(tmp_path / str(number)), *TINY, "eval.metrics=[sliced]", "rounds=2"],
            env=os.environ | other,
            capture_output=True,
            text=True,
            check=True,
        )
        step, generator = done.stdout.splitlines()[-1].split()  # oneDNN may have its say before
        found.setdefault(step, set()).add(generator)
    assert len(set().union(*found.values())) == len(found)
    assert all(len(generators) == 1 for generators in found.values())
    if len(found) == 1:
        pytest.skip("this processor computes the same bits with fewer instructions")


def test_a_group_that_is_stacked_has_a_step_of_its_own():
    words = ["devices=4", "engine.devices_per_actor=4"]
    alone, together = (device_steps(tiny(*words, *more), (1, 16, 16), CPU) for more in ([], ["engine.stacked=4"]))
    assert alone.items() < together.items()
    assert together.keys() - alone.keys() == {"CPU, threads: 1, stacked: 4"}
    again = device_steps(tiny(*words, "engine.stacked=2"), (1, 16, 16), CPU)
    assert again["CPU, threads: 1, stacked: 2"] != together["CPU, threads: 1, stacked: 4"]
    assert (
        device_steps(tiny(*words, "engine.stacked=4", "gan.precision=bfloat16"), (1, 16, 16), CPU).keys()
        == alone.keys()
    )
