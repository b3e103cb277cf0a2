"""The server's merge of updates that are of different versions: FedAsync's and FedBuff's in one formula.

An update that started tau versions ago counts with the factor s(tau). With the mixing a, weights w_k that add up to W
and r, what a device that does no training would send now (`ServerSide.reference`):

    new = (1 - a S) r + a sum_k (w_k / W) s(tau_k) u_k,   S = sum_k (w_k / W) s(tau_k)

If updates are values, r is the server's own, and with one update this is FedAsync's x <- (1 - a s) x + a s x_k (Xie,
Koyejo, Gupta, arXiv 1903.03934, whose three functions s are here). If they are differences, r is zero, and this is
FedBuff's x <- x + (a / B) sum_k s(tau_k) delta_k (Nguyen et al., arXiv 2106.06639, whose s is 1 / sqrt(1 + tau)).
Several values at once, and weights, are our reading.
"""

from collections.abc import Callable, Mapping

import numpy as np

from raygan.config.asynchronous import Asynchronous
from raygan.config.tree import Config
from raygan.errors import InputError
from raygan.gan.flat import FlatModule
from raygan.methods.base import Mean


def factor(staleness: int, settings: Asynchronous) -> float:
    """Returns s of an update that started so many versions ago: 1 for 0, never more."""
    if settings.staleness == "polynomial":
        return float((1 + staleness) ** -settings.exponent)
    if settings.staleness == "hinge" and staleness > settings.grace:
        return 1 / (settings.exponent * (staleness - settings.grace) + 1)
    return 1.0


def merged(means: Mapping[int, Mean], reference: Callable[[], np.ndarray], settings: Asynchronous) -> Mean:
    """Merge the means of the updates of each staleness; `reference` is as for `Aggregator.result`.

    It is computed in float64, in the order of staleness, and rounded once: fresh updates alone that are mixed with 1
    come out as they are.
    """
    weight = sum(mean.weight for mean in means.values())
    shares = {age: settings.mixing * factor(age, settings) * means[age].weight / weight for age in sorted(means)}
    kept = 1 - sum(shares.values())
    vector = kept * reference().astype(np.float64)
    for age, share in shares.items():
        vector += share * means[age].vector
    return Mean(vector.astype(np.float32), weight)


def check_statistics(config: Config, key: str, *networks: FlatModule) -> None:
    """Raise InputError, about `key`, if statistics of networks would go up as differences to versions of different age.

    Such differences add up to no mean of variances, which may become negative.
    """
    if config.schedule == "asynchronous" and any(network.num_averaged > network.num_parameters for network in networks):
        raise InputError(
            f"{key}: with schedule=asynchronous differences of a network's statistics may add up to "
            "negative variances; take weights, or networks without (gan.generator_norm, gan.discriminator_norm: "
            "group, spectral or none)",
            code="conflict",
        )
