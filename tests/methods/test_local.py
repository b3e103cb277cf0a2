"""What local steps draw: the same whether it is drawn step by step or sent to a GPU together."""

from itertools import islice

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from raygan.methods.base import Shard
from raygan.methods.local import _batches, mean
from raygan.round.checks import method_of
from raygan.round.shards import WorkerShards
from tests.helpers import tiny
from tests.methods.parties import CPU, IMAGES, SHAPE


def drawn(words, samples, together, held=None):
    config = tiny("gan.latent=5", "batch_size=7", "seed=3", *words)
    side = method_of(config).device(config, SHAPE, CPU)
    return list(islice(_batches(side, Shard(2, samples, held), 4, together), 5))


@pytest.mark.parametrize("words", [[], ["gan.loss=wgan_gp"]])
@pytest.mark.parametrize("samples", [IMAGES, IMAGES[:4]])
def test_draws_that_are_sent_together_are_those_of_single_steps(words, samples):
    one_by_one = drawn(words, samples, 1)
    for together, held in [(2, None), (3, torch.from_numpy(samples)), (5, torch.from_numpy(samples))]:
        for batch, expected in zip(drawn(words, samples, together, held), one_by_one, strict=True):
            assert torch.equal(batch.real.values, expected.real.values)
            assert torch.equal(batch.latents.values, expected.latents.values)
            assert (batch.mix is None) == (expected.mix is None) == (words == [])
            if batch.mix is not None:
                assert torch.equal(batch.mix, expected.mix)


def test_each_batch_lies_at_the_start_of_memory_of_its_own():
    assert all(batch.latents.values.storage_offset() == 0 for batch in drawn([], IMAGES, 5))


def test_a_device_has_its_own_part_of_what_lies_on_a_gpu():
    shards = WorkerShards(range(3, 5), IMAGES, np.array([0, 20, 60]), torch.from_numpy(IMAGES))
    for device, rows in ((3, slice(0, 20)), (4, slice(20, 60))):
        shard = shards[device]
        assert np.array_equal(shard.samples, IMAGES[rows])
        assert np.array_equal(shard.held.numpy(), IMAGES[rows])
    on_cpu = WorkerShards(range(1), IMAGES, np.array([0, 60]))
    assert on_cpu.held_on(CPU)[0].held is None


def test_a_mean_of_losses_is_of_float64():
    losses = [torch.tensor(value) for value in (0.1, 0.2, 0.7)]
    assert mean(losses) == sum(loss.item() for loss in losses) / 3


class Reads(TorchDispatchMode):
    """Counts how often a value is read out of a tensor, which on a GPU waits for all that was launched before."""

    def __init__(self):
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.count += func is torch.ops.aten._local_scalar_dense.default
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("loss", ["non_saturating", "wgan_gp"])
@pytest.mark.parametrize("method", ["averaged", "fedgan", "mdgan", "centralized"])
def test_no_local_step_reads_a_value(method, loss):
    counts = []
    for steps in (1, 6):
        config = tiny(
            f"method={method}",
            "devices=3",
            f"gan.loss={loss}",
            f"device_steps={steps}",
            "device_optimizer.name=sgd",
            "generator_optimizer.name=sgd",
        )  # on a CPU torch's Adam reads its count of steps
        made = method_of(config)
        down = made.server(config, SHAPE, CPU).down(1)
        side = made.device(config, SHAPE, CPU)
        with Reads() as reads:
            side.update(Shard(0, IMAGES), 1, down, {})
        counts.append(reads.count)
    assert counts[0] == counts[1]
