"""GPU sharing: the actors on each GPU, and the memory they take. Independent of Ray."""

from dataclasses import dataclass, replace

from raygan.cluster.resources import Needs
from raygan.plan.footprint import CUDA_CONTEXT, Footprint


@dataclass(frozen=True)
class GpuUse:
    """The actors on one GPU of a node."""

    free: float = 1.0
    """The share that has not been granted."""
    server: int = 0
    workers: int = 0
    recorder: int = 0

    @property
    def actors(self) -> int:
        """The number of all actors."""
        return self.server + self.workers + self.recorder

    def memory(self, footprint: Footprint) -> float:
        """The GPU memory that they take (bytes, about), without the recorder's Inception network."""
        tensors = self.workers * footprint.device_on_gpu + self.server * footprint.server_on_gpu
        return self.actors * CUDA_CONTEXT + tensors


def gpus_of(needs: Needs, count: int, *, workers: int, server: bool, recorder: bool) -> list[GpuUse]:
    """Fill `count` GPUs that have room, as Ray 2.60 does: each actor goes to the fullest GPU that has room for it."""
    gpus = [GpuUse()] * count
    for share, actors in (
        (needs.server.get("GPU", 0.0), [GpuUse(server=1)] * server),
        (needs.recorder.get("GPU", 0.0), [GpuUse(recorder=1)] * recorder),
        (needs.per_worker.get("GPU", 0.0), [GpuUse(workers=1)] * workers),
    ):
        for actor in actors if share else []:
            able = [index for index, gpu in enumerate(gpus) if gpu.free >= share]
            index = min(able, key=lambda index: gpus[index].free)
            gpus[index] = _with(gpus[index], actor, share)
    return gpus


def _with(gpu: GpuUse, actor: GpuUse, share: float) -> GpuUse:
    return replace(
        gpu,
        free=round(gpu.free - share, 6),
        server=gpu.server + actor.server,
        workers=gpu.workers + actor.workers,
        recorder=gpu.recorder + actor.recorder,
    )
