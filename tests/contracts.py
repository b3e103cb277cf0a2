"""Components that break their contracts, each in a way that is set before it is named: `wrong["what"] = value`."""

import numpy as np

from raygan.channel.links import NoLinks
from raygan.channel.selection import Selection
from raygan.data import ImageSet
from raygan.gan.losses import Loss
from raygan.methods.aggregation import Gathering
from raygan.methods.averaged import AveragedDevice, AveragedServer
from raygan.methods.base import Method
from raygan.metrics.base import Metric

wrong: dict[str, object] = {}


def said(what, *given):
    value = wrong[what]
    if isinstance(value, Exception):
        raise value
    return value(*given) if callable(value) else value


def data(settings, seed):
    return said("data")


def images(settings, seed):
    right = {"images": np.zeros((40, 1, 16, 16), np.uint8), "labels": np.arange(40) % 2, "classes": ("a", "b")}
    return ImageSet(**right | said("images"))


def partition(labels, devices, settings, random):
    return said("partition", np.array_split(np.arange(len(labels)), devices))


class Links(NoLinks):
    def quality(self, round):
        return said("quality") if "quality" in wrong else super().quality(round)

    def uplink(self, round, devices):
        return said("uplink") if "uplink" in wrong else super().uplink(round, devices)

    def broadcast(self, round, devices):
        return said("broadcast") if "broadcast" in wrong else super().broadcast(round, devices)

    def out_of_reach(self, round):
        return said("out_of_reach") if "out_of_reach" in wrong else super().out_of_reach(round)


class Chooses(Selection):
    def choose(self, round, rates, random):
        return said("choose")


class Measures(Metric):
    of = "samples"

    def measure(self, generated):
        return said("metric")


class Combines(Gathering):
    def combine(self, vectors, weights, reference):
        return said("combine", vectors[0])


class Answers(AveragedDevice):
    def update(self, shard, round, down, state):
        return said("update", *super().update(shard, round, down, state))


class Finishes(AveragedServer):
    def finish(self, round, means):
        super().finish(round, means)
        return said("finish")


answers = Method(Answers, AveragedServer)
finishes = Method(AveragedDevice, Finishes)
loss = Loss(lambda real, fake: said("loss", real), lambda fake: fake.mean())
