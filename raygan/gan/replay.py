"""Work on a GPU that is launched many times: recorded once as a CUDA graph, then replayed.

A local step of a small network is a hundred kernels of a few microseconds each, and launching one takes as long. A
graph launches all of them at once. They are the same kernels on the same numbers in the same order, so the bits are
those of the step itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

MOST = 8
"""Graphs that are kept, as each holds memory of its own. Further shapes (devices with few samples have batches of other
sizes) are launched kernel by kernel."""

Work = Callable[..., tuple[Tensor, ...]]


@dataclass(frozen=True, eq=False)
class Recorded:
    """Work on a GPU, the tensors that it reads and those that it writes: always the same memory."""

    launch: Callable[[], None]
    given: list[Tensor | None]
    made: tuple[Tensor, ...]


@dataclass(eq=False)
class Replay:
    """Calls functions of tensors: on a CPU, or if not `on`, as they are; on a GPU replayed, from the second call on.

    Such a function launches the same work whatever the values, keeps what it changes in the same memory, never waits
    for the GPU, and draws random numbers there or not at all.
    """

    on: bool
    _recorded: dict[object, Recorded | None] = field(default_factory=dict)

    def __call__(self, work: Work, owner: object, *given: Tensor | None) -> tuple[Tensor, ...]:
        """`work(owner, *given)`. What it makes is the caller's own."""
        if not (self.on and _on_gpu(given)):
            return work(owner, *given)
        key = (work, *((one.shape, one.stride(), one.dtype) if one is not None else None for one in given))
        if key not in self._recorded:
            if len(self._recorded) < MOST:
                self._recorded[key] = None
            return work(owner, *given)  # a first call loads kernels and sets libraries up, which cannot be recorded
        recorded = self._recorded[key] or _record(work, owner, given)
        self._recorded[key] = recorded
        for mine, one in zip(recorded.given, given, strict=True):
            if mine is not None and one is not None:
                mine.copy_(one)
        recorded.launch()
        return tuple(one.clone() for one in recorded.made)


def _on_gpu(given: Sequence[Tensor | None]) -> bool:
    return any(one is not None and one.is_cuda for one in given)


def _record(work: Work, owner: Any, given: Sequence[Tensor | None]) -> Recorded:
    """Record `work` on tensors like `given`; nothing is computed yet."""
    mine = [torch.empty_like(one) if one is not None else None for one in given]
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        made = work(owner, *mine)
    return Recorded(graph.replay, mine, made)
