"""An actor per device on shares of one GPU: what each sees, what it may take, what it takes; for gpu_check.py.

The actors are raygan's own, with a few questions more, and are asked one by one.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import ray
import torch
from gpu_parts import Case, Found, Results, environment, raygan, used_mb
from rounds import images, networks, prepared

from raygan.config import load_config
from raygan.executors import parties
from raygan.executors.ray_actors import RayStream, ServerActor, WorkerActor, here
from raygan.round.compute import gpu_facts
from raygan.run.session import Run

ROUNDS = 3


@dataclass(frozen=True)
class Shares:
    """Of one GPU."""

    devices: int
    each: float
    server: float = 0.1


FULL, TINY = Shares(10, 0.09), Shares(3, 0.3)


class _Asked:
    """Questions to an actor about its GPU."""

    _party: Any

    def look(self) -> Found:
        """What it sees and has taken (bytes)."""
        if self._party.computes_on.type == "cpu":
            return {"torch_device": "cpu"}
        return {
            "torch_device": str(self._party.computes_on),
            **gpu_facts(self._party.computes_on),
            "may_take": torch.cuda.get_per_process_memory_fraction(),
            "peak_allocated": torch.cuda.max_memory_allocated(),
            "peak_reserved": torch.cuda.max_memory_reserved(),
            "reserved": torch.cuda.memory_reserved(),
        }


class AskedWorker(_Asked, WorkerActor):
    """A device."""

    def take(self, share: float) -> str:
        """Ask for a share of the GPU's memory; what comes of it."""
        if self._party.computes_on.type == "cpu":
            return "not tried: no GPU"
        size = int(share * torch.cuda.get_device_properties(0).total_memory)
        try:
            torch.empty(size, dtype=torch.uint8, device=self._party.computes_on)
        except torch.OutOfMemoryError as error:
            return f"refused: {str(error).partition('. ')[0]}"
        finally:
            torch.cuda.empty_cache()
        return "granted"


class AskedServer(_Asked, ServerActor):
    """The server."""


def placement(case: Case, results: Results) -> None:
    """Everything about shares."""
    shares = TINY if case.tiny else FULL
    address = ray.init(
        num_gpus=1, num_cpus=shares.devices + 2, include_dashboard=False, log_to_driver=False
    ).address_info["gcs_address"]
    results["asked"] = {"devices": shares.devices, "share": shares.each, "server": shares.server}
    results["one more"] = _one_more(shares, address)
    with TemporaryDirectory(prefix="raygan-gpu-") as root:
        words = [
            f"devices={shares.devices}",
            f"engine.gpus_per_device={shares.each}",
            *networks(4 if case.tiny else 16),
        ]
        words += [f"engine.server_gpus={shares.server}", *images(Path(root), 100 * shares.devices, 32)]
        run = prepared(load_config(None, words), Path(root) / "run")
        before = used_mb()
        server, workers = _started(run, shares)
        looks = ray.get([actor.look.remote() for actor in (server, *workers)])
        results["idle"] = looks
        results["context_mb"] = _context_mb(before, looks)
        results["rounds"] = _play(server, workers, 1)
        results["after rounds"] = ray.get([actor.look.remote() for actor in (server, *workers)])
        results["whole_gpu_mb"] = used_mb()
        results["more than its share"] = {
            "a device asks for 1.1 of its share": ray.get(workers[0].take.remote(1.1 * shares.each)),
            "another for half of its own": ray.get(workers[1].take.remote(0.5 * shares.each)),
            "all play on": _play(server, workers, ROUNDS + 1),
        }
    ray.shutdown()


def _one_more(shares: Shares, address: str) -> Found:
    """A run with a device too many, from outside."""
    words = [f"devices={shares.devices + 1}", f"engine.gpus_per_device={shares.each}", "engine.nodes_timeout_s=0"]
    words += [f"engine.server_gpus={shares.server}", "engine.cpus_per_device=0.5", f"engine.address={address}"]
    with TemporaryDirectory() as root:
        command = raygan("train", *words, "--out", f"{root}/run")
        done = subprocess.run(command, capture_output=True, text=True, env=environment())
    return {"status": done.returncode, "said": done.stderr.strip()}


def _started(run: Run, shares: Shares) -> tuple[Any, list[Any]]:
    """The server and the devices, as a run starts them."""
    config, problem = run.config, run.setup.problem
    worker: Any = ray.remote(num_gpus=shares.each, num_cpus=1)(AskedWorker)
    server: Any = ray.remote(num_gpus=shares.server, num_cpus=1)(AskedServer)
    one = server.remote(here("server", shares.server), parties.server, config, problem, run.setup.counts)
    return one, [
        worker.remote(
            here(f"device {k}", shares.each),
            parties.worker,
            config,
            problem,
            ray.put(run.setup.shards_of(range(k, k + 1))),
        )
        for k in range(shares.devices)
    ]


def _play(server: Any, workers: list[Any], first: int) -> Found:
    """Some rounds of all; the mean losses of the last."""
    down = server.call.remote("down", 1, first)
    for round in range(first, first + ROUNDS):
        sent = [_two(worker).remote("update_devices", 3, round, down, [k]) for k, worker in enumerate(workers)]
        down, report = _two(server).remote("update", 2, round, RayStream([message for message, _ in sent], None))
    reports = ray.get([report for _, report in sent])
    losses = [one.devices[k]["d_loss"] for k, one in enumerate(reports)]
    return {"rounds": ROUNDS, "d_loss": sum(losses) / len(losses), "g_loss": ray.get(report).metrics["g_loss"]}


def _two(actor: Any) -> Any:
    return actor.call.options(num_returns=2)


def _context_mb(before: float | None, looks: list[Found]) -> float | None:
    """What a process takes before any tensor (MiB): of all processes together, over their number."""
    after = used_mb()
    if before is None or after is None:
        return None
    return (after - before - sum(look["reserved"] for look in looks) / 2**20) / len(looks)


def summary(found: Found) -> list[str]:
    """In words."""
    asked, lines = found["asked"], []
    lines.append(f"{asked['devices']} devices at {asked['share']} and a server at {asked['server']} of one GPU:")
    if idle := found.get("idle"):
        seen = {look.get("gpu_uuid", look["torch_device"]) for look in idle}
        lines.append(f"* {len(idle)} processes computed on {', '.join(sorted(seen))}")
    if (context := found.get("context_mb")) is not None:
        lines.append(f"* a process takes {context:.0f} MiB before any tensor (context and kernels)")
    if (after := found.get("after rounds")) and "peak_reserved" in after[0]:
        peaks = [look["peak_reserved"] / 2**20 for look in after]
        lines.append(
            f"* memory for tensors at the most: server {peaks[0]:.0f} MiB, a device {median(peaks[1:]):.0f} MiB"
        )
    if more := found.get("more than its share"):
        lines += [f"* {what}: {came}" for what, came in more.items()]
    if one_more := found.get("one more"):
        lines.append(f"* {asked['devices'] + 1} devices: status {one_more['status']}, {one_more['said']}")
    return lines


def passed(found: Found) -> bool:
    """Whether shares held."""
    more = found.get("more than its share", {})
    taken = more.get("a device asks for 1.1 of its share", "").startswith(("refused", "not tried"))
    return taken and "all play on" in more and found["one more"]["status"] == 2
