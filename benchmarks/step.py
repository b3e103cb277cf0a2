"""raygan's own discriminator step against the hand-written one: the same maths in one process, with one thread."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from statistics import median
from time import perf_counter

import torch
from engine_raygan import config_of
from layout import state_of
from plain import CPU, PlainGan, discriminator_step, draw_real, dump
from work import State, WorkFolder, largest_difference

from raygan.gan import batches, steps
from raygan.gan.conditions import Labelled
from raygan.gan.networks import build_networks
from raygan.gan.optimizer import FlatOptimizer
from raygan.rng import Role, noise, stream
from raygan.round.compute import threads

PAIRS = 15
BLOCK = 10
"""Steps in a row, before the other one's turn."""
AGREEMENT = 1e-5
"""Largest difference of any parameter after one step. With spectral normalisation it is larger: the hand-written step
takes two power iterations, raygan's one."""


@dataclass(frozen=True)
class StepResult:
    """How the two steps compare."""

    ratio_to_plain: float
    """raygan's time over the hand-written step's: the median over pairs of blocks."""
    ms: float
    plain_ms: float
    difference: float
    """The largest of any parameter's, after one step from the same weights on the same batch."""


class _Step(ABC):
    """A step on batches that were drawn beforehand, the same for everyone."""

    @abstractmethod
    def step(self, batch: int) -> None:
        """Generator forward, discriminator on real and fake, backward, Adam."""

    @abstractmethod
    def discriminator(self) -> State:
        """Its parameters now."""

    def block(self) -> float:
        """Seconds a step takes, over some."""
        start = perf_counter()
        for batch in range(BLOCK):
            self.step(batch)
        return (perf_counter() - start) / BLOCK


class _Plain(_Step):
    def __init__(self, folder: WorkFolder) -> None:
        work, images = folder.work(), folder.shards()[0]
        self._gan = PlainGan(folder)
        real, latent = stream(work.seed, Role.DEVICE_BATCH), stream(work.seed, Role.DEVICE_NOISE)
        self._batches = [
            (draw_real(images, work.batch, real), noise(latent, work.batch, work.latent, CPU)) for _ in range(BLOCK)
        ]

    def step(self, batch: int) -> None:
        discriminator_step(self._gan, *self._batches[batch])

    def discriminator(self) -> State:
        return dump(self._gan.discriminator)


class _Raygan(_Step):
    def __init__(self, folder: WorkFolder) -> None:
        work, images = folder.work(), folder.shards()[0]
        config = config_of(work, folder, "inline")
        self._networks = build_networks(config, images.shape[1:], CPU)
        self._optimizer = FlatOptimizer(config.device_optimizer, self._networks.discriminator)
        real, latent = stream(work.seed, Role.DEVICE_BATCH), stream(work.seed, Role.DEVICE_NOISE)
        self._batches = [
            (
                Labelled(batches.as_seen(torch.from_numpy(images[batches.draw_batch(len(images), work.batch, real)]))),
                Labelled(noise(latent, work.batch, work.latent, CPU)),
            )
            for _ in range(BLOCK)
        ]

    def step(self, batch: int) -> None:
        real, latents = self._batches[batch]
        steps.discriminator_step(self._networks, self._optimizer, 1, real, steps.generate(self._networks, latents))

    def discriminator(self) -> State:
        network = self._networks.discriminator
        return state_of(network, network.vector)


def _parameters(values: State) -> State:
    """Without the vectors of spectral normalisation."""
    return {name: value for name, value in values.items() if not name.endswith(("._u", "._v"))}


def compare_steps(folder: WorkFolder, pairs: int = PAIRS) -> StepResult:
    """One step each, then blocks of steps in turns, who comes first changing from pair to pair."""
    with threads(1):
        raygan, plain = _Raygan(folder), _Plain(folder)
        raygan.step(0)
        plain.step(0)
        difference = largest_difference(*(_parameters(one.discriminator()) for one in (raygan, plain)))
        raygan.block()  # whatever is slow only once
        plain.block()
        ours: list[float] = []
        theirs: list[float] = []
        for pair in range(pairs):
            for step, seconds in [(raygan, ours), (plain, theirs)][:: 1 if pair % 2 == 0 else -1]:
                seconds.append(step.block())
    ratio = median(one / other for one, other in zip(ours, theirs, strict=True))
    return StepResult(ratio, median(ours) * 1000, median(theirs) * 1000, difference)
