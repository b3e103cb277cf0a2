"""From a config to the simulated clock: the method's own work counted, its traffic and exchanges asked for."""

import traceback
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from raygan.channel.clock import Clock, Work
from raygan.config.aggregation import Plain
from raygan.config.data import Iid
from raygan.config.simulation import All, Compute, NoChannel
from raygan.config.tree import Config
from raygan.data import ImageSet, Shards
from raygan.engine.compute import threads
from raygan.engine.contributions import Problem
from raygan.engine.parties import method_of
from raygan.errors import InputError, RunError
from raygan.methods.base import Mean, ServerSide, Shard


def as_played(config: Config) -> Config:
    """The config as the engine plays it: a pooled method is a run of one device, at the server, without links."""
    if not method_of(config).pooled:
        return config
    server = config.compute.server_flops
    return config.model_copy(
        update={
            "devices": 1,
            "aggregation": Plain(),
            "data": config.data.model_copy(update={"partition": Iid()}),
            "channel": NoChannel(bits_per_parameter=config.channel.bits_per_parameter),
            "compute": Compute(device_flops=(server,), server_flops=server),
            "selection": All(),
        }
    )


def try_out(config: Config, images: ImageSet, shards: Shards) -> tuple[Problem, Clock]:
    """What every party must know, and the clock of a run, after its first round has been tried.

    Raises:
        InputError: a component of one's own cannot be built, or fails in the first round.
    """
    try:
        return _try_out(config, images, shards)
    except InputError:
        raise
    except RunError as error:
        raise InputError(str(error)) from error
    except Exception as error:  # whatever a user's own component raises
        where = traceback.extract_tb(error.__traceback__)[-1]
        raise InputError(
            f"the first round fails before anything is started: {type(error).__name__}: {error} "
            f"({where.filename}, line {where.lineno})"
        ) from error


def _try_out(config: Config, images: ImageSet, shards: Shards) -> tuple[Problem, Clock]:
    method = method_of(config)
    server = method.server(config, images.shape, torch.device("cpu"))
    problem = Problem(images.shape, len(images), server.update_size, server.slots)
    problem.aggregator(config)  # shows whether it can be built
    exchange = method.exchange

    def partners(round: int, devices: list[int]) -> Mapping[int, int]:
        return exchange.partners(config, len(images), round, devices) if exchange else {}

    clock = Clock(config, server.traffic(), count_work(config, server, images, shards), partners)
    clock.round(1)  # likewise
    return problem, clock.fresh()


class FlopCounter(TorchDispatchMode):
    """Adds up the FLOPs of what runs inside, by torch's own formulas: matrix products and convolutions.

    torch's FlopCounterMode also tracks modules, which fails on gradients with respect to a module's input.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """torch asks; True would import its compiler, which takes two seconds, to keep it away from what is below."""
        return False

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.flops = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run and count one operation."""
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func.overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **(kwargs or {}), out_val=out)
        return out


def count_work(config: Config, server: ServerSide, images: ImageSet, shards: Shards) -> Work:
    """Play one device's update per size of batch, and the server's parts, counting: `server` is used up by it."""
    side = method_of(config).device(config, images.shape, torch.device("cpu"))
    down = server.down(1)
    sizes, size_of = np.unique(np.minimum(config.batch_size, shards.sizes), return_inverse=True)
    counted = []
    with threads(config.engine.server_threads):
        for size in sizes:
            with FlopCounter() as counter:
                update, _ = side.update(Shard(0, images.images[:size]), 1, down, {})
            counted.append(float(counter.flops))
        with FlopCounter() as meanwhile:
            server.meanwhile(1)
        with FlopCounter() as finish:
            server.finish(1, {slot: Mean(update.vector, 1) for slot in range(server.slots)})
    return Work(
        device=np.array(counted)[size_of],
        meanwhile=float(meanwhile.flops),
        finish=float(finish.flops),
    )
