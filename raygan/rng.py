"""Random streams keyed by (seed, role, device, round).

Every random number of a run comes from one of these streams, never from global state, so what is drawn
depends on the config alone: not on the executor, the packing, arrival order or an interruption.
"""

import enum
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch


class Role(enum.IntEnum):
    """The purpose of a stream. The numbers are part of every run's results: append, never renumber."""

    GENERATOR_INIT = 0
    DISCRIMINATOR_INIT = 1
    PARTITION = 2
    DEVICE_BATCH = 3
    DEVICE_NOISE = 4
    DEVICE_PENALTY = 5
    DEVICE_TORCH = 6
    SERVER_NOISE = 7
    SERVER_TORCH = 8
    EVALUATION = 9
    SAMPLES = 10
    CLASSIFIER = 11
    DATA = 12
    PLACEMENT = 13
    FADING = 14
    SPEED = 15
    SELECTION = 16
    SWAP = 17
    POWER_METHOD = 18
    STATISTICS = 19
    LIKENESS = 20
    DEVICE_CLASSES = 21
    SERVER_CLASSES = 22
    DEVICE_AUGMENT = 24
    SERVER_AUGMENT = 25
    LAZY_PENALTY = 26
    COMPRESSION = 27
    PRIVACY = 28
    HELD_OUT = 29
    DOWNLINK_COMPRESSION = 30
    SECURE = 31
    RECORD_NOISE = 34
    CLIP_NOISE = 35


def stream(seed: int, role: Role, device: int = 0, round: int = 0) -> np.random.Generator:
    """Returns a numpy generator for one role of one device in one round."""
    key = (seed, role, device, round)
    words = np.array(key, np.uint32) if max(key) < 2**32 else key  # the same stream, sooner
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))


@contextmanager
def torch_seeded(seed: int, role: Role, device: int = 0, round: int = 0) -> Iterator[None]:
    """Seed torch's global streams (CPU and current GPU) inside the block, and restore them afterwards.

    It is for code that draws from the global stream only: weight initialisers, and dropout in custom networks.
    """
    import torch

    number = int(stream(seed, role, device, round).integers(2**63))
    before, on_gpu = torch.get_rng_state(), None
    torch.default_generator.manual_seed(number)
    if torch.cuda.is_initialized():  # torch.manual_seed records a stack trace for each accelerator that is not
        on_gpu = torch.cuda.current_device()
        before_there = torch.cuda.get_rng_state(on_gpu)
        torch.cuda.manual_seed(number)
    try:
        yield
    finally:
        torch.set_rng_state(before)
        if on_gpu is not None:
            torch.cuda.set_rng_state(before_there, on_gpu)


def noise(random: np.random.Generator, count: int, latent: int, device: "torch.device") -> "torch.Tensor":
    """Returns standard normal latent points, (count, latent) float32, drawn on the CPU so a GPU changes nothing."""
    import torch

    drawn = torch.from_numpy(random.standard_normal((count, latent), dtype=np.float32))
    return drawn if device.type == "cpu" else drawn.pin_memory().to(device, non_blocking=True)


def classes(
    random: np.random.Generator, count: int, weights: Sequence[float], device: "torch.device"
) -> "torch.Tensor":
    """Returns the classes of samples to generate, (count,) int64, drawn by these weights; on the CPU, likewise."""
    import torch

    shares = np.asarray(weights, float)
    drawn = torch.from_numpy(random.choice(len(shares), count, p=shares / shares.sum()))
    return drawn if device.type == "cpu" else drawn.pin_memory().to(device, non_blocking=True)
