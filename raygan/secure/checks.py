"""What a method must be like for its updates to be added up securely."""

import numpy as np

from raygan.config.aggregation import secagg_of
from raygan.config.tree import Config
from raygan.errors import InputError
from raygan.methods.base import Method, ServerSide
from raygan.methods.references import check_reference
from raygan.secure.keys import check_cryptography


def check_secure(
    config: Config, method: Method, server: ServerSide, shape: tuple[int, ...], shard_sizes: np.ndarray
) -> None:
    """Raise InputError if a run with secure aggregation needs single updates, or `cryptography` is not installed.

    What the keys alone show, the config tree has refused. `shape` is that of a sample, `shard_sizes` (K,).
    """
    settings, why = secagg_of(config), "with aggregation.secure.name=secagg"
    if settings is None:
        return
    check_cryptography()
    if server.gathers:
        raise InputError(f"method: {why} no single update is seen, as {config.method} needs them", code="conflict")
    if server.slots > 1:
        key = "mdgan.batches" if config.method == "mdgan" else "method"
        raise InputError(
            f"{key}: {why} a round has one sum, and this one has {server.slots}, some perhaps of a single device; "
            "set mdgan.batches=1, or take another method",
            code="conflict",
        )
    weights = {"averaged": config.averaged.weights, "fedgan": config.fedgan.weights}.get(config.method, "uniform")
    largest = {"uniform": 1, "shard": int(shard_sizes.max()), "batch": config.batch_size}[weights]
    if largest > settings.max_weight:
        raise InputError(
            f"aggregation.secure.max_weight: with {config.method}.weights={weights} a device weighs up to {largest}, "
            f"more than {settings.max_weight}; set so much, or {config.method}.weights=uniform",
            code="few",
        )
    check_reference(config, method, server, shape, why, "a difference to")
