"""Estimates of the private memory of each process of a run, without Ray.

Compared with measurements on a CPU: a forked actor of small networks took 50 MB, and one that is not 0.36 GB, as
planned; with three million parameters each, actors took 15 % more than planned at their peak, and the driver a third
more.
"""

from raygan.plan.footprint import DRIVER, FORK_SERVER, FORKED, PROCESS, RECORDER
from raygan.plan.network import worker_devices
from raygan.plan.sizes import Plan


def process_memory(plan: Plan) -> float:
    """Returns the memory of a worker or the server before it holds anything (bytes)."""
    return FORKED if plan.config.engine.workers == "fork" else PROCESS


def shared_memory(plan: Plan) -> float:
    """Returns the memory that all processes of the run on a node share (bytes)."""
    return FORK_SERVER if plan.config.engine.workers == "fork" else 0.0


def worker_memory(plan: Plan, devices: int) -> float:
    """Returns the memory of an actor of so many devices, at the end of the run (bytes)."""
    sizes, engine = plan.footprint, plan.config.engine
    tensors = 0 if engine.gpus_per_device else sizes.device.most
    sums = adding_up(plan, devices) if devices > 1 else 0
    before = min(devices, under_way(plan)[0]) * sizes.state
    return process_memory(plan) + tensors + sizes.update + sums + states(plan, devices) + before


def states(plan: Plan, devices: int) -> float:
    """Returns the size of the states of so many devices at the end of the run, of those that took part (bytes)."""
    took_part = min(1.0, plan.config.rounds * most_together(plan) / plan.devices)
    return devices * took_part * plan.footprint.state


def server_memory(plan: Plan) -> float:
    """Returns the memory of the server (bytes). It adds up updates of each age by themselves."""
    tensors = 0 if plan.config.engine.server_gpus else plan.footprint.server.most
    ages = max(len({round.staleness.get(device, 0) for device in round.devices}) for round in plan.rounds)
    return process_memory(plan) + tensors + plan.footprint.down + max(1, ages) * adding_up(plan, most_together(plan))


def driver_memory(plan: Plan) -> float:
    """Returns the memory of the driver, which loads and partitions the data and tries the first round (bytes)."""
    tried = plan.footprint.device.most + plan.footprint.server.most
    return DRIVER + tried + plan.image_bytes + 16 * plan.samples  # a label and an index each, of 8 bytes


def recorder_memory(plan: Plan) -> float:
    """Returns the memory of the recorder (bytes); the images that it reads are in shared memory."""
    return RECORDER - PROCESS + process_memory(plan)


def inline_memory(plan: Plan) -> float:
    """Returns the memory of the single process of a run without Ray (bytes)."""
    held = adding_up(plan, most_together(plan)) + states(plan, plan.devices) + plan.image_bytes  # the partition
    return driver_memory(plan) + RECORDER - PROCESS + held


def total_memory(plan: Plan) -> float:
    """Returns the memory of all processes of a run on one node, except Ray's own (bytes)."""
    if not plan.on_ray:
        return inline_memory(plan)
    last = plan.needs.workers - 1
    full, rest = (worker_memory(plan, worker_devices(plan.config, worker)) for worker in (0, last))
    of_workers = shared_memory(plan) + last * full + rest
    return of_workers + server_memory(plan) + recorder_memory(plan) + driver_memory(plan)


def adding_up(plan: Plan, devices: int) -> int:
    """Returns the memory to combine the updates of so many devices: their sum and a work space, or all updates."""
    sizes = plan.footprint
    return sizes.parts(devices, sizes.part) * (2 if sizes.adds_up else 1)


def under_way(plan: Plan) -> tuple[int, int]:
    """Returns the largest number of devices under way behind a round, and of rounds in which they started."""
    started: dict[int, int] = {}
    devices, rounds = 0, 0
    for number, round in enumerate(plan.rounds):
        for device in round.staleness:
            del started[device]
        started |= dict.fromkeys(round.ahead, number)
        devices, rounds = max(devices, len(started)), max(rounds, len(set(started.values())))
    return devices, rounds


def most_together(plan: Plan) -> int:
    """Returns the number of devices in the largest round looked at."""
    return max(len(round.devices) for round in plan.rounds)
