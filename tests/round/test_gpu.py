"""What is said of GPUs where there is none."""

import gc

import numpy as np
import torch

import raygan
from raygan.errors import RunError
from raygan.round import compute
from raygan.round.compute import as_chosen_before, cap_memory, gpu_facts, torch_device
from tests.errors import raises
from tests.helpers import tiny
from tests.methods.parties import CPU, parties

CHOICES = ("deterministic", "benchmark", "allow_tf32")


def test_in_this_process_a_share_of_a_gpu_that_is_not_there_is_refused(tmp_path):
    with raises("engine.executor", None, "engine.gpus_per_device"):
        raygan.train(tiny("engine.gpus_per_device=0.1"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_share_of_a_gpu_that_is_only_declared_is_a_cpu():
    cap_memory(0.3)
    assert torch_device(0.3, "tf32") == CPU
    assert gpu_facts(CPU) == {}


def test_what_torch_chooses_is_as_before_afterwards(monkeypatch):
    monkeypatch.setattr(compute.torch.cuda, "is_available", lambda: True)
    before = [getattr(torch.backends.cudnn, name) for name in CHOICES], torch.are_deterministic_algorithms_enabled()
    with as_chosen_before():
        assert torch_device(0.5) == torch.device("cuda", 0)
        inside = [getattr(torch.backends.cudnn, name) for name in CHOICES], torch.are_deterministic_algorithms_enabled()
        assert inside == ([True, False, False], True)
    after = [getattr(torch.backends.cudnn, name) for name in CHOICES], torch.are_deterministic_algorithms_enabled()
    assert after == before


def test_the_collector_rests_from_what_was_there_before():
    before = gc.get_threshold()
    assert gc.get_freeze_count() == 0
    assert 0 < before[0] < 10_000, "Python's own"
    with as_chosen_before():
        assert gc.get_freeze_count() > 1000
        assert gc.get_threshold() == (10_000, *before[1:])
        with as_chosen_before():
            assert gc.get_freeze_count() > 1000
        assert gc.get_freeze_count() > 1000, "it ends with the first"
        assert gc.get_threshold() == (10_000, *before[1:])
    assert gc.get_freeze_count() == 0
    assert gc.get_threshold() == before


def test_a_collector_that_never_comes_goes_on_so():
    before = gc.get_threshold()
    gc.set_threshold(0)
    try:
        with as_chosen_before():
            assert gc.get_threshold()[0] == 0
    finally:
        gc.set_threshold(*before)


def test_a_device_whose_share_of_memory_is_used_up_says_so_in_a_line(monkeypatch):
    worker, server = parties(tiny("devices=2"), [30, 30])
    down = server.down(1)

    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of")

    monkeypatch.setattr(worker._side, "update", full)
    with raises("round 1, device 1", "resources", kind=RunError):
        worker.update(1, 1, down)
    assert worker.states() == {}, "nothing is kept of a turn that failed"
    monkeypatch.undo()
    assert np.isfinite(worker.update(1, 1, down)[0].vector).all()
