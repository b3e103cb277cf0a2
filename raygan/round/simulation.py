"""The simulated clock of a config, from the counted work, the traffic and the exchanges of its method."""

import traceback
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch

from raygan.channel.asynchronous import AsynchronousClock
from raygan.channel.clock import Clock
from raygan.channel.selection import Selection
from raygan.channel.simulated import Work
from raygan.channel.traffic import Coded
from raygan.components import SELECTIONS, derived
from raygan.compression.way import size_of
from raygan.config.aggregation import Plain, secagg_of
from raygan.config.partitions import Iid
from raygan.config.privacy import UserLevel
from raygan.config.simulation import All, Compute, NoChannel, Policy
from raygan.config.tree import Config
from raygan.data import ImageSet, Shards
from raygan.data.classes import class_counts
from raygan.errors import InputError, RunError
from raygan.methods.base import ServerSide
from raygan.privacy.mechanism import check_private
from raygan.round.checks import method_of
from raygan.round.compute import threads
from raygan.round.flops import DeviceWork, FlopCounter
from raygan.round.problem import Problem
from raygan.secure.checks import check_secure


def as_run(config: Config) -> Config:
    """Returns the config as the engine runs it: a pooled method is one device at the server, without links.

    Raises:
        InputError: the schedule is not one of the method's, or it has no devices whose updates could be masked.
    """
    method = method_of(config)
    if config.schedule == "asynchronous" and not method.asynchronous:
        raise InputError(
            f"schedule: asynchronous is for averaged and fedgan; the rounds of method={config.method} are of all its "
            "devices together; leave it out",
            code="conflict",
        )
    if not method.pooled:
        return config
    if secagg_of(config) is not None:
        raise InputError(
            f"aggregation.secure.name: nothing is sent with method={config.method}; set none", code="conflict"
        )
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


def try_out(config: Config, images: ImageSet, shards: Shards, weighed: bool = False) -> tuple[Problem, Clock]:
    """Returns the problem and the clock of a run, after its first round has been tried.

    `weighed`: the user has given `gan.class_weights`, so that no device need report its classes for them.

    Raises:
        InputError: a custom component cannot be built, or fails in the first round.
    """
    try:
        return _try_out(config, images, shards, weighed)
    except InputError:
        raise
    except RunError as error:
        raise InputError(str(error), code=error.code) from error
    except Exception as error:  # whatever a user's own component raises
        where = traceback.extract_tb(error.__traceback__)[-1]
        raise InputError(
            f"round 1: fails before anything is started: {type(error).__name__}: {error} "
            f"({where.filename}, line {where.lineno})",
            code="failed",
        ) from error


def _try_out(config: Config, images: ImageSet, shards: Shards, weighed: bool) -> tuple[Problem, Clock]:
    method = method_of(config)
    with threads(config.engine.server_threads):
        server = method.server(config, images.shape, torch.device("cpu"))
    selection: type[Selection[Policy]] = derived(SELECTIONS, config.selection.name, "selection.name", Selection)  # type: ignore[type-abstract]
    problem = Problem.of(config, server, method.pooled, images.shape, len(images), selection.counts_classes)
    check_secure(config, method, server, images.shape, shards.sizes)
    check_private(config, method, server, problem.counts_classes, images.shape)
    problem.aggregator(config)  # shows whether it can be built
    uplink = problem.uplink(config)
    value_bits = config.channel.bits_per_parameter
    saved = uplink.saved_bits(value_bits) if uplink else 0
    downlink = problem.downlink(config)
    coded = Coded(size_of(downlink.spans), downlink.bits(value_bits)) if downlink else None
    counts = class_counts(images, shards) if problem.counts_classes else None
    if counts is not None:
        server.reported(counts)
    exchange = method.exchange

    def partners(round: int, devices: list[int]) -> Mapping[int, int]:
        return exchange.partners(config, len(shards.indices), round, devices) if exchange else {}

    # Class counts, if somebody goes by them. A pooled method has the samples themselves.
    goes_by_them = problem.counts_classes or (config.gan.num_classes > 0 and not weighed)
    reported = len(images.classes) if goes_by_them and not method.pooled else 0
    traffic = replace(server.traffic(), reported=reported, up_bits=-saved, coded=coded)
    kind = AsynchronousClock if config.schedule == "asynchronous" else Clock
    clock = kind(config, traffic, count_work(config, server, images, shards), partners, counts)
    clock.round(1)  # likewise
    return problem, clock.fresh()


def count_work(config: Config, server: ServerSide, images: ImageSet, shards: Shards) -> Work:
    """Count a device's update for every size of batch, and the server's parts, by trying them: `server` is used up."""
    sizes, size_of = np.unique(np.minimum(config.batch_size, shards.sizes), return_inverse=True)
    updates = DeviceWork(config, server.down(1), images)
    with threads(config.engine.server_threads):
        counted = np.array(updates.by_size(sizes.tolist()), float)
        with FlopCounter() as meanwhile:
            server.meanwhile(1)
        finished = []
        for slots in sorted({1, server.slots}):  # in between each slot adds the same
            with FlopCounter() as finish:
                server.finish(1, dict.fromkeys(range(slots), server.taken_from(1, updates.vector)))
            finished.append(float(finish.flops))
    return Work(
        device=counted[size_of],
        meanwhile=float(meanwhile.flops),
        finish=finished[0],
        finish_slot=(finished[-1] - finished[0]) / max(1, server.slots - 1),
        slots=server.slots,
        every_slot=isinstance(config.privacy, UserLevel),
    )
