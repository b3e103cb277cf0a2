"""How a process computes."""

import subprocess
import sys

import pytest

FAULTS = """
import resource
import torch
from raygan.engine.compute import keep_freed_memory
keep_freed_memory()
def step():
    for size in (10_000_000, 200_000, 1_000_000):  # above 32 MiB glibc by itself gives everything back
        torch.ones(size)
for _ in range(20):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator is meant")
def test_what_a_step_frees_is_there_for_the_next():
    # The first seven steps or so may each take new pages: the splinters of aligned allocations go to the thread's
    # cache (tcache, seven of a size) and part the free memory until it is full.
    done = subprocess.run([sys.executable, "-c", FAULTS], check=True, capture_output=True, text=True)
    assert int(done.stdout) < 100, "the tensors of ten steps have 110,000 pages"
