"""How a process computes: on which device, with how many threads."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


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
