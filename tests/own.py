"""Components that a user might bring along, named in tests by import path."""

import os
import signal
import time
from dataclasses import replace

import numpy as np
import torch
from torch import nn

from raygan.channel.links import NoLinks
from raygan.channel.selection import Selection
from raygan.compression.codec import Identity
from raygan.data import ImageSet
from raygan.gan.losses import Loss
from raygan.methods.aggregation import Gathering
from raygan.methods.averaged import AveragedDevice, AveragedServer
from raygan.methods.base import Exchange, Method, ServerSide
from raygan.methods.feedback import MDGAN
from raygan.methods.mdgan import MDGANDevice, MDGANServer
from raygan.metrics.base import Metric


def halves(labels, devices, partition, random):
    first = partition.options["first"]
    return [np.arange(first), np.arange(first, len(labels))]


def forgets_one(labels, devices, partition, random):
    return np.array_split(np.arange(1, len(labels)), devices)


def stripes(data, seed):
    columns = np.arange(16) // data.options["width"] % 2 * 255
    images = np.tile(columns.astype(np.uint8), (40, 1, 16, 1))
    return ImageSet(images, np.arange(40) % 2, ("even", "odd"))


class Generator(nn.Module):
    """With dropout, to show that torch's own randomness repeats too."""

    def __init__(self, shape, gan):
        super().__init__()
        self.shape = shape
        self.layers = nn.Sequential(
            nn.Linear(gan.latent, 32), nn.Dropout(0.5), nn.ReLU(), nn.Linear(32, int(np.prod(shape))), nn.Tanh()
        )

    def forward(self, z):
        return self.layers(z).view(-1, *self.shape)


class FailsInEvaluation(Generator):
    def forward(self, z):
        if not self.training:
            raise OSError(28, "No space left on device")
        return super().forward(z)


class FrozenGenerator(Generator):
    def __init__(self, shape, gan):
        super().__init__(shape, gan)
        self.layers[0].requires_grad_(False)


class Frozen(nn.Module):
    def __init__(self, shape, gan):
        super().__init__()
        self.layers = nn.Sequential(nn.Flatten(), nn.Linear(int(np.prod(shape)), 8), nn.ReLU(), nn.Linear(8, 1))
        self.layers[1].requires_grad_(False)

    def forward(self, x):
        return self.layers(x).flatten()


quadratic = Loss(lambda real, fake: (real - 1).square().mean() + (fake + 1).square().mean(), lambda fake: -fake.mean())


def _fails(*logits):
    raise RuntimeError("on purpose")


fails = Loss(_fails, _fails)


def not_a_network(shape, gan):
    return torch.zeros(3)


class Fails(nn.Module):
    def __init__(self, shape, gan):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(3))

    def forward(self, x):
        raise RuntimeError("on purpose")


class NotBuilt(nn.Module):
    def __init__(self, shape, gan):
        raise TypeError("on purpose")


def touches(shape, gan):
    raise AssertionError("a file's word alone must not get here")


class FastLinks(NoLinks):
    def uplink(self, round, devices):
        return np.full(len(devices), self.config.channel.options["bps"])


class ListLinks(NoLinks):
    def quality(self, round):
        return [-1.0] * self.config.devices


class Evens(Selection):
    def choose(self, round, rates, random):
        return np.arange(0, self.devices, 2)


class FirstTwo(Selection):
    def choose(self, round, rates, random):
        return np.array([0, 1])


class Twice(Selection):
    def choose(self, round, rates, random):
        return np.array([1, 1])


class Nearest(Gathering):
    """The update nearest to the mean of all."""

    def combine(self, vectors, weights, reference):
        return vectors[np.linalg.norm(vectors - vectors.mean(axis=0), axis=1).argmin()]


def blank_64(data, seed):
    return ImageSet(np.zeros((12, 3, 64, 64), np.uint8), np.arange(12) % 2, ("a", "b"))


class Poisoner(AveragedDevice):
    """From round 2 on, device 0 sends something else than its discriminator."""

    def update(self, shard, round, down, state):
        update, state = super().update(shard, round, down, state)
        return (self.poisoned(update) if shard.device == 0 and round > 1 else update), state


class SendsNaN(Poisoner):
    def poisoned(self, update):
        return replace(update, vector=np.full_like(update.vector, np.nan))


class SendsTooMuch(Poisoner):
    def poisoned(self, update):
        return replace(update, vector=np.append(update.vector, np.float32(1)))


class LosesItsLoss(Poisoner):
    def poisoned(self, update):
        return replace(update, metrics={"d_loss": float("inf")})


class SendsFarOff(Poisoner):
    def poisoned(self, update):
        return replace(update, vector=-1e5 * update.vector)


class Raises(Poisoner):
    def poisoned(self, update):
        raise RuntimeError("on purpose")


class Sleeps(AveragedDevice):
    """As long as the environment says, which changes no number."""

    def update(self, shard, round, down, state):
        time.sleep(float(os.environ.get("OWN_SLEEP", "0")))
        return super().update(shard, round, down, state)


class Naps(AveragedDevice):
    """Device 1 does, for longer than all others take together."""

    def update(self, shard, round, down, state):
        time.sleep(5 * (shard.device == 1))
        return super().update(shard, round, down, state)


class Dies(AveragedDevice):
    """From round 7 on, device 0 takes its whole process with it."""

    def update(self, shard, round, down, state):
        if shard.device == 0 and round >= 7:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().update(shard, round, down, state)


class WeighsAll(AveragedDevice):
    def update(self, shard, round, down, state):
        update, state = super().update(shard, round, down, state)
        return replace(update, weight=150), state


class MDGANSendsNaN(MDGANDevice):
    """In the first round only."""

    def update(self, shard, round, down, state):
        update, state = super().update(shard, round, down, state)
        bad = shard.device == 0 and round == 1
        return replace(update, vector=update.vector * (np.nan if bad else 1)), state


weighs_all = Method(WeighsAll, AveragedServer)
mdgan_sends_nan = Method(MDGANSendsNaN, MDGANServer, exchange=MDGAN.exchange)
sends_nan = Method(SendsNaN, AveragedServer)
sends_too_much = Method(SendsTooMuch, AveragedServer)
loses_its_loss = Method(LosesItsLoss, AveragedServer)
sends_far_off = Method(SendsFarOff, AveragedServer)
sleeps = Method(Sleeps, AveragedServer)
naps = Method(Naps, AveragedServer, scheduled=True, asynchronous=True)
dies = Method(Dies, AveragedServer)
raises = Method(Raises, AveragedServer)


class Patient(Metric):
    """Measures for a minute in a process of the lowest priority, such as a recorder on Ray, and at once elsewhere."""

    of = "samples"

    def measure(self, generated):
        if os.nice(0) == 19:
            time.sleep(60)
        return {"patience": float(len(generated))}


class SilentServer(AveragedServer):
    """Says nothing of what may be compressed."""

    compressible = ServerSide.compressible
    broadcast_parameters = ServerSide.broadcast_parameters


silent = Method(AveragedDevice, SilentServer)
swaps = Method(AveragedDevice, AveragedServer, Exchange(lambda *_: {}, lambda config, own, given: given))


class encodes_a_list(Identity):  # noqa: N801
    def encode(self, vector, random):
        return [vector]


class decodes_doubles(Identity):  # noqa: N801
    def decode(self, code):
        return code[0].astype(np.float64)


class decodes_too_few(Identity):  # noqa: N801
    def decode(self, code):
        return code[0][:3]


class counts_half_bits(Identity):  # noqa: N801
    def bits(self, value_bits):
        return value_bits / 2
