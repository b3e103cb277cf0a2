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
    for size in (3_000_000, 200_000, 1_000_000):
        torch.ones(size)
for _ in range(3):
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator is meant")
def test_what_a_step_frees_is_there_for_the_next():
    done = subprocess.run([sys.executable, "-c", FAULTS], check=True, capture_output=True, text=True)
    assert int(done.stdout) < 100, "the tensors of ten steps have 40,000 pages"
