"""Replay of repeated GPU work: it is recorded once as a CUDA graph, then replayed.

A local step of a small network is a hundred kernels of a few microseconds each, and launching a kernel takes as long.
A graph launches all of them at once. They are the same kernels on the same numbers in the same order, so the bits are
those of the step itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

MOST = 8
"""Maximum number of graphs, because each has separate memory. Further shapes (devices with few samples have batches of
other sizes) are launched kernel by kernel."""

ReplayedWork = Callable[..., tuple[Tensor, ...]]


@dataclass(frozen=True, eq=False)
class Recorded:
    """Recorded GPU work with its input and output tensors, whose memory never changes."""

    launch: Callable[[], None]
    given: list[Tensor | None]
    made: tuple[Tensor, ...]


@dataclass(eq=False)
class Replay:
    """Calls functions of tensors: directly on a CPU or if not `on`, replayed on a GPU from the second call on.

    Such a function launches the same work for all values, keeps its state in the same memory, never waits for the GPU,
    and draws random numbers on the GPU or not at all.
    """

    on: bool
    _recorded: dict[object, Recorded | None] = field(default_factory=dict)

    def forget(self) -> None:
        """Record all work anew: what it is done on has moved."""
        self._recorded.clear()

    def __call__(self, work: ReplayedWork, owner: object, *given: Tensor | None) -> tuple[Tensor, ...]:
        """Returns `work(owner, *given)`, in memory that the caller may keep."""
        if not (self.on and _on_gpu(given)):
            return work(owner, *given)
        key = (work, *((one.shape, one.stride(), one.dtype) if one is not None else None for one in given))
        if key not in self._recorded:
            if len(self._recorded) < MOST:
                self._recorded[key] = None
            return work(owner, *given)  # the first call loads kernels and sets up libraries, which cannot be recorded
        recorded = self._recorded[key] or _record(work, owner, given)
        self._recorded[key] = recorded
        for mine, one in zip(recorded.given, given, strict=True):
            if mine is not None and one is not None:
                mine.copy_(one)
        recorded.launch()
        return tuple(one.clone() for one in recorded.made)


def _on_gpu(given: Sequence[Tensor | None]) -> bool:
    return any(one is not None and one.is_cuda for one in given)


def _record(work: ReplayedWork, owner: Any, given: Sequence[Tensor | None]) -> Recorded:
    """Record `work` on tensors like `given`; nothing is computed yet."""
    mine = [torch.empty_like(one) if one is not None else None for one in given]
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        made = work(owner, *mine)
    return Recorded(graph.replay, mine, made)
