"""A process's settings of torch and memory: threads, device, precision, determinism."""

import ctypes
import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from threading import get_native_id
from typing import Any, cast

import torch

from raygan.config.gan import Precision

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_KEPT = 2**30
_YOUNG = 10_000
_WORK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Compute with `count` threads and subnormal numbers taken as zero, as everywhere in a run.

    The thread count is part of a run's numbers. Subnormals of a saturated discriminator would make a step
    several times slower. Whether a thread takes them as zero is a setting of that thread, which a new one takes over
    from the one that starts it. So inside, every thread that works on a tensor has it, also one of a pool from before;
    afterwards each has again what it had.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    here, flushed = get_native_id(), dict[int, bool]()

    def flush() -> None:
        flushed[get_native_id()] = _flushes()
        torch.set_flush_denormal(True)

    def set_back() -> None:
        torch.set_flush_denormal(flushed.get(get_native_id(), flushed[here]))

    _in_each(count, flush)
    try:
        yield
    finally:
        torch.set_num_threads(count)  # should what ran inside have set another
        _in_each(count, set_back)
        torch.set_num_threads(before)


def _flushes() -> bool:
    """Returns whether this thread takes subnormal numbers as zero. torch sets it, but does not tell."""
    return sys.float_info.min * 0.5 == 0.0


def _in_each(count: int, work: Callable[[], None]) -> None:
    """Do `work` in each of the `count` threads that the calling one's operations are spread over, itself among them.

    In the calling thread only where torch's threads are not reached by GCC's name for them: on macOS. (On Linux libgomp
    has it, and so do libomp and libiomp5.)
    """
    team = _team() if count > 1 else None
    if team is None:
        work()
        return
    failed: list[BaseException] = []

    def guarded(_: object) -> None:
        try:
            work()
        except BaseException as error:  # ctypes would print it and go on
            failed.append(error)

    team(_WORK(guarded), None, count, 0)
    if failed:
        raise failed[0]


@cache
def _team() -> Callable[..., None] | None:
    """`void GOMP_parallel(void (*)(void *), void *, unsigned threads, unsigned flags)` of the OpenMP that torch uses.

    It is what GCC makes of `#pragma omp parallel` (libgomp's manual, "Implementing PARALLEL construct").
    """
    if sys.platform != "linux":
        return None
    library = Path(torch.__file__).parent / "lib" / "libtorch_cpu.so"
    for name in (None, str(library) if library.is_file() else None):  # as the linker looks for it
        if hasattr(found := ctypes.CDLL(name), "GOMP_parallel"):
            function = found.GOMP_parallel
            function.argtypes, function.restype = [_WORK, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint], None
            return cast(Callable[..., None], function)
    return None


def torch_device(gpus: float, precision: Precision = "float32") -> torch.device:
    """The device for a process that was granted a share `gpus` of one.

    Where Ray's GPUs are declared but not real, this is the CPU; what was used is recorded in
    environment.json. CUDA is never used without a share, though it may be visible.

    On a GPU whatever is chosen among several ways to compute is chosen here, once: kernels that give the same bits each
    time (an operation that has none raises an error with its name), by cuDNN's rules and not by timing them.
    """
    if gpus == 0 or not torch.cuda.is_available():
        return torch.device("cpu")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # without it cuBLAS may choose by what is free
    torch.use_deterministic_algorithms(True)
    _debugging().fill_uninitialized_memory = False  # a kernel for each tensor, to find bugs
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = precision == "tf32"
    return torch.device("cuda", 0)


def cap_memory(gpus: float) -> None:
    """Let this process take a share of its GPU's memory for tensors, and no more."""
    if gpus and torch.cuda.is_available():
        torch.cuda.set_per_process_memory_fraction(min(gpus, 1.0))


def gpu_facts(device: torch.device) -> dict[str, str]:
    """Returns the name and UUID of the GPU that a process computes on; nothing on a CPU."""
    if device.type == "cpu":
        return {}
    found = torch.cuda.get_device_properties(device)
    return {"gpu": found.name, "gpu_uuid": str(found.uuid)}


@contextmanager
def as_chosen_before() -> Iterator[None]:
    """Afterwards torch chooses as before, and Python's collector looks at everything: for a process that is not
    raygan's own.
    """
    deterministic, warns = before = _deterministic()
    filled = _debugging().fill_uninitialized_memory
    cudnn, matmul = torch.backends.cudnn, torch.backends.cuda.matmul
    chosen = cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32
    frozen, thresholds = gc.get_freeze_count(), gc.get_threshold()
    if not frozen:
        collect_seldom()
    try:
        yield
    finally:
        if not frozen:
            gc.unfreeze()
            gc.set_threshold(*thresholds)
        if _deterministic() != before:  # the call imports torch's compiler, which takes two seconds
            torch.use_deterministic_algorithms(deterministic, warn_only=warns)
        _debugging().fill_uninitialized_memory = filled
        cudnn.deterministic, cudnn.benchmark, cudnn.allow_tf32, matmul.allow_tf32 = chosen


def _deterministic() -> tuple[bool, bool]:
    """Whether operations must be deterministic, and whether the others only warn."""
    return torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()


def _debugging() -> Any:
    """A module whose attribute is a property, which type checkers do not see."""
    return torch.utils.deterministic


def collect_seldom() -> None:
    """Let Python's collector rest from all that was imported, and come after more new objects than usual.

    A round of many small updates makes a great many objects and next to no cycles, which are all that the collector is
    for. As often as usual it took an eighth of such a round.
    """
    gc.freeze()
    young, *older = gc.get_threshold()
    if young:  # with 0 it never comes
        gc.set_threshold(max(young, _YOUNG), *older)


def keep_freed_memory() -> None:
    """Let this process keep what it frees, up to a GiB, where the C library is one that can be told to (glibc).

    Every step frees and takes the same tensors. Given back in between, or not, as glibc decides from one process to
    the next, they cost hundreds of page faults a step.
    """
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_MMAP_THRESHOLD, _KEPT)
        libc.mallopt(_TRIM_THRESHOLD, _KEPT)
