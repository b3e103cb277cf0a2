"""How a process computes: on which device, with how many threads, in what memory."""

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_KEPT = 2**30


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with `count` threads and subnormal numbers taken as zero, as everywhere in a run.

    The thread count is part of a run's numbers. Subnormals of a saturated discriminator would make a step
    several times slower.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        torch.set_flush_denormal(False)


def torch_device(gpus: float) -> torch.device:
    """The device for a process that was granted a share `gpus` of one, its memory capped at that share.

    Where Ray's GPUs are declared but not real, this is the CPU; what was used is recorded in
    environment.json. CUDA is never used without a share, though it may be visible.
    """
    if gpus == 0 or not torch.cuda.is_available():
        return torch.device("cpu")
    torch.cuda.set_per_process_memory_fraction(gpus)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    return torch.device("cuda", 0)


def keep_freed_memory() -> None:
    """Let this process keep what it frees, up to a GiB, where the C library is one that can be told to (glibc).

    Every step frees and takes the same tensors. Given back in between, or not, as glibc decides from one process to
    the next, they cost hundreds of page faults a step.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_MMAP_THRESHOLD, _KEPT)
        libc.mallopt(_TRIM_THRESHOLD, _KEPT)
