"""MD-GAN's feedback weighed image by image: by odds (UA-GAN), by the most forgiving device (F2U), or in between (F2A).

Every device judges the same generated images with a discriminator of its own, and sends up the logit l_j of each image
and its gradient dl_j/dx. The server aggregates the logits into one, l, and descends the generator's loss of l, whose
gradient at an image is loss'(l) sum_j (dl/dl_j) dl_j/dx. All of it is in logits: odds of a sigmoid overflow.

UA-GAN (Zhang et al., arXiv 2102.04655) adds odds: l = logsumexp_j(log w_j + l_j). Without a class condition w_j is the
device's share of the samples, n_j / n; with one its share of those of the image's class, n_j(y) / n(y), as in the
authors' code. Here n is of the devices that take part; an image of a class that none of them has gets no feedback.
F2U (Yonetani et al., arXiv 1905.09684): l = max_j l_j, of equal ones the lowest device. F2A (likewise): l = sum_j s_j
l_j with s = softmax(lambda l_j), so dl/dl_j = s_j (1 + lambda (l_j - l)), and lambda >= 0 is learned with the
generator. F2U's and F2A's formulas are from general knowledge; that they take logits, and that lambda takes plain
descent steps of the same loss plus `mdgan.lambda_decay` lambda^2, is our reading. Steps of the discriminators, on the
same batch, are MD-GAN's.
"""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from raygan.config.tree import Config
from raygan.errors import InputError
from raygan.gan.conditions import Labelled
from raygan.gan.moves import Moves
from raygan.gan.steps import logit_feedback
from raygan.gan.transfer import array_of, uploaded
from raygan.methods.aggregation import weighted_sum
from raygan.methods.base import DeviceSide, Gathered, Mean, Method, Metrics, ServerSide, Shard, State
from raygan.methods.logits import by_forgiveness, by_odds, by_softmax
from raygan.methods.mdgan import MDGANDevice, MDGANServer
from raygan.methods.swaps import SWAPS


class LogitDevice(MDGANDevice):
    """Judges images by their logits."""

    def judge(self, generated: Labelled, real: Labelled) -> Moves[tuple[Tensor, dict[str, Tensor]]]:
        """Returns the gradients of the logits, then the logits; the loss is the server's."""
        gradient, logits = yield from logit_feedback.moves(self.networks, generated)
        return torch.cat([gradient.reshape(-1), logits]), {}

    def weight(self, shard: Shard) -> int:
        """Returns the number of its samples, by which odds are weighed."""
        return len(shard.samples)


class LogitServer(MDGANServer):
    """Aggregates the logits when all are there."""

    gathers = True
    unicast = 1

    def __init__(self, config: Config, shape: tuple[int, ...], torch_device: torch.device) -> None:
        super().__init__(config, shape, torch_device)
        _check(config, self.networks.loss.relative)
        self.counts_classes = config.mdgan.feedback == "odds" and config.gan.num_classes > 0
        self._lambda = np.array([config.mdgan.lambda_start], np.float32)

    @property
    def update_size(self) -> int:
        """One gradient for each value of a batch, and one logit for each image."""
        return self.values_per_batch + self.config.batch_size

    def combine(self, round: int, updates: Gathered) -> Mean:
        """Returns the gradient of the aggregated logits, (b * d,), these logits, (b,), and their slopes, (b,)."""
        gradients, logits = zip(*(np.split(one, [self.values_per_batch]) for one in updates.vectors), strict=True)
        together = np.stack(logits).astype(float)
        weighed = {
            "odds": lambda: by_odds(together, self._samples(round, updates)),
            "forgiving": lambda: by_forgiveness(together),
            "adaptive": lambda: by_softmax(together, float(self._lambda[0])),
        }[self.config.mdgan.feedback]()
        gradient = weighted_sum(gradients, weighed.weights)
        return Mean(np.concatenate([gradient, weighed.logits, weighed.slopes]).astype(np.float32), updates.weight)

    def _samples(self, round: int, updates: Gathered) -> np.ndarray:
        """Returns the numbers of samples that odds are weighed by: of each device, or of its class of each image."""
        ((_, labels),) = self.latents(round)
        if labels is None:
            return np.array(updates.weights)[:, None]
        return self.counts[updates.devices][:, array_of(labels)]

    def finish(self, round: int, means: Mapping[int, Mean]) -> Metrics:
        """Take one step of the generator, and one of lambda if it is learned."""
        gradient, logits, slopes = np.split(means[0].vector, [self.values_per_batch, self.update_size])
        aggregated = uploaded(logits, self.torch_device).requires_grad_()
        loss = self.networks.loss.generator(aggregated)
        pull = array_of(torch.autograd.grad(loss, aggregated)[0])
        feedback = gradient.reshape(len(pull), -1) * pull[:, None]
        super().finish(round, {0: Mean(feedback.ravel(), means[0].weight)})
        metrics = {"g_loss": float(loss.detach())}
        if self.config.mdgan.feedback == "adaptive":
            slope = float((pull * slopes).sum()) + 2 * self.config.mdgan.lambda_decay * float(self._lambda[0])
            self._lambda = np.maximum(self._lambda - np.float32(self.config.mdgan.lambda_lr * slope), np.float32(0))
            metrics["feedback_lambda"] = float(self._lambda[0])
        return metrics

    def state(self) -> State:
        """Returns also lambda."""
        return super().state() | {"lambda": self._lambda}

    def restore(self, state: State) -> None:
        """Go back to a `state`."""
        super().restore(state)
        self._lambda = np.array(state["lambda"])


def _device(config: Config, shape: tuple[int, ...], torch_device: torch.device) -> DeviceSide:
    return (MDGANDevice if config.mdgan.feedback == "mean" else LogitDevice)(config, shape, torch_device)


def _server(config: Config, shape: tuple[int, ...], torch_device: torch.device) -> ServerSide:
    return (MDGANServer if config.mdgan.feedback == "mean" else LogitServer)(config, shape, torch_device)


def _images(config: Config) -> int:
    return config.batch_size


MDGAN = Method(device=_device, server=_server, exchange=SWAPS, clipped_parts=_images, private_steps=True)


def _check(config: Config, relative: bool) -> None:
    """Refuse what a weighting of logits cannot do, in one line."""
    weighs = f"with mdgan.feedback={config.mdgan.feedback}"
    conflicts = {
        "mdgan.swap_epochs": (
            config.mdgan.swap_epochs is not None,
            f"{weighs} a discriminator stands for the samples of its device, and stays there; set it to null",
        ),
        "mdgan.batches": ((config.mdgan.batches or 1) > 1, f"{weighs} all devices judge the same images; leave it out"),
        "gan.loss": (
            relative,
            f"{config.gan.loss} compares with real samples, but {weighs} the server has none",
        ),
        "gan.condition": (
            config.gan.condition == "auxiliary",
            f"auxiliary adds a loss that is not of a logit, which {weighs} nobody weighs; take concat or projection",
        ),
        "gan.discriminator_norm": (
            config.gan.discriminator_norm == "batch",
            f"{weighs} images are weighed one by one, but batch judges them together; take spectral, group or none",
        ),
    }
    for key, (wrong, reason) in conflicts.items():
        if wrong:
            raise InputError(f"{key}: {reason}", code="conflict")
