import numpy as np
import pytest
import torch

from raygan.rng import Role, stream, torch_seeded


def test_a_stream_depends_on_its_whole_key():
    draws = {
        stream(seed, role, device, round).integers(2**63)
        for seed in (0, 1)
        for role in (Role.DEVICE_BATCH, Role.DEVICE_NOISE)
        for device in (0, 1)
        for round in (0, 1)
    }
    assert len(draws) == 16
    assert stream(3, Role.DATA, 1, 2).integers(100) == stream(3, Role.DATA, 1, 2).integers(100)


def test_numbers_are_the_same_for_ever():
    assert stream(0, Role.PARTITION).integers(1000, size=3).tolist() == [979, 80, 286]


@pytest.mark.parametrize("key", [(0, 0, 0), (2**32 - 1, 9, 7), (2**32, 9, 7), (2**63 + 5, 0, 2**31)])
def test_a_stream_is_that_of_its_key_as_numpy_takes_it(key):
    seed, device, round = key
    plain = np.random.default_rng(np.random.SeedSequence([seed, Role.DEVICE_BATCH, device, round]))
    assert stream(seed, Role.DEVICE_BATCH, device, round).random(4).tolist() == plain.random(4).tolist()


def test_torch_is_given_back_as_it_was():
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    with torch_seeded(0, Role.GENERATOR_INIT):
        first = torch.rand(3)
    with torch_seeded(0, Role.GENERATOR_INIT):
        assert torch.equal(torch.rand(3), first)
    assert torch.equal(torch.rand(3), expected)


class OneGpu:
    """As torch.cuda has its random state: of one generator, which is on the CPU here."""

    def __init__(self):
        self.random = torch.Generator()

    def is_initialized(self):
        return True

    def current_device(self):
        return 0

    def manual_seed(self, number):
        self.random.manual_seed(number)

    def get_rng_state(self, device):
        return [self.random.get_state()][device]

    def set_rng_state(self, state, device):
        assert device == 0
        self.random.set_state(state)


def draw_and_fail(gpu, expected):
    assert torch.equal(torch.rand(3, generator=gpu.random), expected)
    raise RuntimeError("drawn")


def test_so_is_the_gpu(monkeypatch):
    gpu = OneGpu()
    monkeypatch.setattr(torch, "cuda", gpu)
    gpu.manual_seed(7)
    expected = torch.rand(3, generator=gpu.random)
    gpu.manual_seed(7)
    with torch_seeded(0, Role.GENERATOR_INIT):
        first = torch.rand(3, generator=gpu.random)
    with pytest.raises(RuntimeError, match="drawn"), torch_seeded(0, Role.GENERATOR_INIT):
        draw_and_fail(gpu, first)
    assert torch.equal(torch.rand(3, generator=gpu.random), expected)
