"""What holds whatever the method: what leaves a device, and that a state is the whole state."""

import numpy as np
import pytest
import torch

from raygan.components import METHODS
from raygan.round.checks import method_of
from tests.helpers import tiny
from tests.methods.parties import CPU, SHAPE, parties, play, play_restored


@pytest.mark.parametrize("name", METHODS)
def test_only_a_vector_and_scalars_go_up(name):
    config = tiny(f"method={name}")
    worker, server = parties(config, [20, 20, 20])
    method = method_of(config)
    for number in worker.devices:
        shard = worker.shards[number]
        update, state = method.device(config, SHAPE, CPU).update(shard, 1, server.down(1), {})
        assert set(vars(update)) == {"device", "vector", "weight", "metrics", "slot"}
        assert update.device == number
        assert update.vector.shape == (server.side.update_size,)
        assert update.vector.dtype == np.float32
        assert all(isinstance(value, float) for value in update.metrics.values())
        assert 0 <= update.slot < server.side.slots
        for sent in [update.vector, *(state.values() if method.exchange else [])]:
            assert not holds_an_image_of(shard.samples, sent)


def holds_an_image_of(samples, vector):
    """Whether the beginning of an image stands somewhere in the vector, as pixels or scaled to [-1, 1]."""
    windows = np.lib.stride_tricks.sliding_window_view(vector, 8)
    beginnings = samples.reshape(len(samples), -1)[:, :8].astype(np.float32)
    return any(np.isclose(windows, b).all(axis=1).any() for b in [*beginnings, *(beginnings / 127.5 - 1)])


def test_an_image_that_was_sent_would_be_seen():
    samples = np.random.default_rng(0).integers(256, size=(3, 1, 16, 16), dtype=np.uint8)
    sent = np.random.default_rng(1).standard_normal(1000).astype(np.float32)
    assert not holds_an_image_of(samples, sent)
    sent[100 : 100 + 256] = samples[1].ravel() / np.float32(127.5) - 1
    assert holds_an_image_of(samples, sent)


FEEDBACK = {name: ["method=mdgan", f"mdgan.feedback={name}"] for name in ("odds", "forgiving", "adaptive")}
STATES = {name: [f"method={name}"] for name in METHODS} | {
    **FEEDBACK,
    "averaged moments": ["averaged.optimizer_state=average"],
    "local buffers": ["averaged.buffers=local", "gan.discriminator_norm=batch"],
    "vectors that follow": ["averaged.buffers=reset", "gan.generator_norm=spectral"],
    "both networks' vectors": ["method=fedgan", "gan.generator_norm=spectral"],
}


@pytest.mark.parametrize("words", STATES.values(), ids=STATES)
def test_a_state_restores_bit_for_bit(words):
    config = tiny("mdgan.swap_epochs=null", *words)
    side, straight = play_restored(config, [20, 40], 5, before=3), play(config, [20, 40], 5)
    assert all(np.array_equal(value, straight.state()[name]) for name, value in side.state().items())
    assert torch.equal(side.ema, straight.ema)


STEPPING = {name: [f"method={name}"] for name in METHODS} | {"parallel": ["schedule=parallel"], **FEEDBACK}


@pytest.mark.parametrize("words", STEPPING.values(), ids=STEPPING)
def test_every_step_of_a_round_is_at_its_rate(words):
    """As if both optimisers had been given the new rates by hand between two rounds."""
    words = [*words, "mdgan.swap_epochs=null", "device_steps=2", "generator_steps=2"]

    def go_on(device, generator, rounds, before=None):
        rates = [f"device_optimizer.{device}", f"generator_optimizer.{generator}"]
        worker, server = parties(tiny(*words, *rates), [20, 40])
        if before is not None:
            worker.restore(before[0])
            server.side.restore(before[1])
        for round in rounds:
            message, _ = worker.update_devices(round, server.down(round), worker.devices)
            server.update(round, [message])
        return worker.states(), server.side.state()

    before = go_on("lr=0.002", "lr=0.002", [1, 2])
    stepped = go_on("lr_steps=[{round: 3, lr: 0.01}]", "lr_steps=[{round: 3, lr: 0.05}]", [1, 2, 3])
    by_hand = go_on("lr=0.01", "lr=0.05", [3], before)
    constant = go_on("lr=0.002", "lr=0.002", [3], before)
    assert np.array_equal(flat(*stepped), flat(*by_hand))
    assert not np.array_equal(flat(*stepped), flat(*constant))


def flat(states, state):
    """All that devices and server remember, one after the other."""
    return np.concatenate([array.ravel() for part in [*states.values(), state] for array in part.values()])
