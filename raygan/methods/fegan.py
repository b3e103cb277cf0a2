"""FeGAN (Guerraoui et al., Middleware 2020): FedGAN with balanced sampling and Kullback-Leibler weights.

The abstract has both by name; what they are is from the authors' code. Devices report their number of samples of each
class once. A device's score is the divergence of its classes from those of all data, times its share of all samples,
KL(p_k || p) n_k / n; the average weighs the devices of a round by it (`fegan.weights`). Balanced sampling is
`selection.name=balanced`.

A local step of the authors' code takes both gradients at the old point, on one batch of noise, as FedGAN's does: so the
devices are FedGAN's, with `fedgan.optimizer_state` and `fedgan.upload`. From the code are also the quirks: a score
grows with the divergence, so that the devices least like the whole weigh most, and `dirac` usually leaves one device or
none. Ours: p is that of all devices' samples (the code has equal classes), equal weights where all scores are 0 and
linear ones where `dirac` leaves none (the code divides by 0), and buffers are averaged as in FedGAN (the code leaves
them out).
"""

from collections.abc import Callable

import numpy as np
import torch

from raygan.config.tree import Config
from raygan.errors import InputError
from raygan.methods.aggregation import weighted_sum
from raygan.methods.base import Gathered, Mean, Method
from raygan.methods.fedgan import FedGANDevice, FedGANServer


def scores(counts: np.ndarray) -> np.ndarray:
    """Returns KL(p_k || p) n_k / n of each device, (K,), for its samples of each class, (K, C), in nats."""
    sizes, total = counts.sum(axis=1, keepdims=True), counts.sum(axis=0)
    held = counts > 0
    ratios = np.divide(counts / sizes, total / total.sum(), out=np.ones(counts.shape), where=held)
    divergences = (counts / sizes * np.log(ratios)).sum(axis=1)
    shares: np.ndarray = np.maximum(divergences, 0) * sizes[:, 0] / total.sum()  # by rounding it may be below 0
    return shares


def softmax(scores: np.ndarray) -> np.ndarray:
    """Returns shares (n,) that add up to 1, in proportion to the exponentials of scores."""
    weights = np.exp(scores - scores.max())
    shares: np.ndarray = weights / weights.sum()
    return shares


def linear(scores: np.ndarray) -> np.ndarray:
    """Returns shares in proportion to the scores; equal ones if all are 0."""
    shares: np.ndarray = scores / scores.sum() if scores.any() else np.full(len(scores), 1 / len(scores))
    return shares


def dirac(scores: np.ndarray) -> np.ndarray:
    """Returns linear shares without those below one half; if there is no other, the linear shares."""
    shares = linear(scores)
    large = shares >= 0.5
    return linear(np.where(large, shares, 0.0)) if large.any() else shares


_SHARES: dict[str, Callable[[np.ndarray], np.ndarray]] = {"softmax": softmax, "linear": linear, "dirac": dirac}


class FeGANServer(FedGANServer):
    """Averages both networks by the classes that devices have. It keeps the updates of a round until all are there."""

    gathers = True
    counts_classes = True

    def __init__(self, config: Config, shape: tuple[int, ...], torch_device: torch.device) -> None:
        super().__init__(config, shape, torch_device)
        if config.fedgan.weights != "shard":
            raise InputError(
                f"fedgan.weights: {config.fedgan.weights} is for method=fedgan; fegan weighs devices by their classes "
                "(fegan.weights); leave it out",
                code="conflict",
            )
        self._scores = np.empty(0)

    def reported(self, counts: np.ndarray) -> None:
        """Score the devices."""
        self._scores = scores(counts)

    def combine(self, round: int, updates: Gathered) -> Mean:
        """Returns the weighted mean of both networks."""
        shares = _SHARES[self.config.fegan.weights](self._scores[updates.devices])
        return Mean(weighted_sum(updates.vectors, shares), updates.weight)


FeGAN = Method(device=FedGANDevice, server=FeGANServer)
