"""The method of rounds without device work, for benchmarks/engines.py."""

import torch
from torch import Tensor

from raygan.gan.moves import Moves
from raygan.methods.averaged import AveragedDevice, AveragedServer
from raygan.methods.base import Method, Shard


class IdleDevice(AveragedDevice):
    """Takes everything in and sends its discriminator up, as the others do, but never steps."""

    def _train(self, shard: Shard, round: int) -> Moves[list[Tensor]]:
        yield from ()
        return [torch.zeros(())]


Idle = Method(device=IdleDevice, server=AveragedServer, scheduled=True)
"""`averaged` without the local steps: what is left is the engine's own cost."""
