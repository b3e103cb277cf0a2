"""A meter of the memory that tensors take while code runs."""

import weakref
from collections.abc import Iterator
from typing import Any

import torch

from raygan.gan.torch_private import DispatchMode


class MemoryMeter(DispatchMode):
    """Counts the tensors made inside the block: those alive, and the peak (bytes).

    Every storage counts once, until it is freed: activations kept for a backward pass, gradients, temporaries.
    Workspaces of kernels, and memory that an allocator keeps beyond requests, are not counted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.alive = 0
        self.most = 0
        self._storages: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run one operation and count its outputs."""
        for tensor in _tensors([*args, *(kwargs or {}).values()]):
            self._note(tensor.untyped_storage(), made_here=False)  # otherwise it has been counted already
        out = func(*args, **(kwargs or {}))
        for tensor in _tensors(out):
            self._note(tensor.untyped_storage(), made_here=True)
        return out

    def _note(self, storage: Any, made_here: bool) -> None:
        key, size = id(storage), storage.nbytes() if made_here else 0
        if key in self._storages:
            return

        def freed(_: object) -> None:
            del self._storages[key]
            self.alive -= size

        self._storages[key] = weakref.ref(storage, freed)
        self.alive += size
        self.most = max(self.most, self.alive)


def _tensors(out: object) -> Iterator[torch.Tensor]:
    if isinstance(out, torch.Tensor):
        yield out
    elif isinstance(out, (tuple, list)):
        for part in out:
            yield from _tensors(part)
