"""Runs small enough to do many of."""

from pathlib import Path

import raygan
from raygan.config import Config, load_config

SHARED_CIFAR = Path(__file__).parents[2] / "shared" / "data" / "cifar10.tar.gz"

TINY = [
    "engine.executor=inline",
    "devices=3",
    "rounds=4",
    "batch_size=8",
    "generator_batch_size=8",
    "data.limit=200",
    "gan.latent=8",
    "gan.generator_width=4",
    "gan.discriminator_width=4",
    "eval.every=2",
    "eval.samples=50",
    "eval.classifier_epochs=1",
    "eval.metrics=[frechet,classes]",
    "eval.nearest=0",
    "checkpoint.every=2",
]


def tiny(*words: str) -> Config:
    """A run of a second on 200 digits."""
    return load_config(None, [*TINY, *words])


class Watch:
    """Counts what it is told, and calls `act` when a round is over."""

    def __init__(self, act=lambda round: None):
        self.rounds, self.evaluated, self.saved, self.phases, self.act = [], [], [], [], act

    def on_phase(self, text):
        self.phases.append(text)

    on_event = on_phase

    def on_round(self, row):
        self.rounds.append(row["round"])
        self.act(row["round"])

    def on_evaluation(self, round, metrics):
        self.evaluated.append(round)

    def on_checkpoint(self, round):
        self.saved.append(round)


def undisturbed_run(words, folder):
    """A run of these words; one that is interrupted, and one whose devices share processes, give the same bytes."""
    undisturbed = raygan.train(tiny(*words), folder / "undisturbed")
    raygan.train(tiny(*words, "rounds=2"), folder / "run")
    resumed = raygan.train(tiny(*words), folder / "run", resume=True)
    assert same_generator(resumed, undisturbed)
    packed = raygan.train(tiny(*words, "engine.devices_per_actor=2"), folder / "packed")
    assert same_generator(packed, undisturbed)
    return undisturbed


def same_generator(left, right):
    return left.generator.read_bytes() == right.generator.read_bytes()
