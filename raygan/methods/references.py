"""Whether devices know what their updates are differences to."""

import numpy as np
import torch

from raygan.config.tree import Config
from raygan.errors import InputError
from raygan.methods.base import Method, ServerSide


def check_reference(
    config: Config, method: Method, server: ServerSide, shape: tuple[int, ...], why: str, purpose: str
) -> None:
    """Raise InputError, with these reasons, if a device has another reference than the server in the first round."""
    down = server.down(1)
    start = method.device(config, shape, torch.device("cpu")).reference(down)
    if not np.array_equal(server.reference(1), np.zeros(server.update_size) if start is None else start):
        raise InputError(
            f"method: {why} a device must know the server's reference, which its update is {purpose}, and that of "
            f"{config.method} has another; its DeviceSide must define reference",
            code="conflict",
        )
