"""Transfers of tensors and arrays between a process's memory and its GPU.

Copies to a GPU use pinned memory and are asynchronous. A copy from a GPU waits for the work launched before it.
"""

from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np
import torch
from torch import Tensor

Values = np.ndarray | Tensor
"""Numbers in a process's memory, or where it computes."""


def uploaded(array: np.ndarray, device: torch.device) -> Tensor:
    """Returns a new tensor on `device` with a copy of `array`, which may be read-only."""
    tensor = torch.empty(array.shape, dtype=_dtype(array), device=device)
    fill(tensor, array)
    return tensor


def fill(tensor: Tensor, source: Values) -> None:
    """Copy values of the same shape into a tensor.

    This is the only place where an array from the object store becomes a tensor. Every reader shares such an array, and
    a tensor over its memory would write through to all of them.
    """
    if isinstance(source, Tensor):
        tensor.copy_(source)
    elif tensor.device.type == "cpu":
        np.copyto(tensor.numpy(), source)
    else:
        staged = torch.empty(source.shape, dtype=_dtype(source), pin_memory=True)
        np.copyto(staged.numpy(), source)
        tensor.copy_(staged, non_blocking=True)  # torch lends the memory again once it has been read


def pieces(values: Values, sizes: Sequence[int]) -> list[Values]:
    """Returns views of a vector: pieces of these sizes, and the rest."""
    ends = [0, *accumulate(sizes), len(values)]
    return [values[start:end] for start, end in pairwise(ends)]


def here(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Returns contiguous copies in the process's memory. A GPU is waited for once for all of them."""
    staged = []
    for tensor in tensors:
        if tensor.device.type != "cpu":
            pinned = torch.empty(tensor.shape, dtype=tensor.dtype, pin_memory=True)
            staged.append(pinned.copy_(tensor.detach(), non_blocking=True))
        else:
            staged.append(tensor.detach())
    if any(tensor.device.type != "cpu" for tensor in tensors):
        torch.cuda.current_stream().synchronize()
    return [tensor.clone(memory_format=torch.contiguous_format) for tensor in staged]


def array_of(tensor: Tensor) -> np.ndarray:
    """Returns a new, contiguous numpy array with a copy of `tensor`."""
    array: np.ndarray = here([tensor])[0].numpy()
    return array


def _dtype(array: np.ndarray) -> torch.dtype:
    return torch.from_numpy(np.empty(0, array.dtype)).dtype
