"""How a process computes."""

import json
import subprocess
import sys

import pytest

FAULTS = """
import resource
import torch
from raygan.round.compute import keep_freed_memory
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


FLUSHING = """
import sys, threading
import torch
from raygan.round.compute import threads
def flushed(count):  # by each of the threads that share an operation
    torch.set_num_threads(count)
    found = (torch.full((2**20,), 1000, dtype=torch.int32).view(torch.float32) * 0.5).view(torch.int32)
    return [not part.any().item() for part in found.chunk(count)]
def inside(count):
    with threads(count):
        return flushed(count)
"""
HISTORIES = {
    "a pool of threads is there": """
assert flushed(2) == [False, False]
assert inside(2) == [True, True]
assert flushed(2) == [False, False]
""",
    "nothing ran": """
assert inside(2) == [True, True]
assert flushed(2) == [False, False]
""",
    "the user has flushing on": """
torch.set_flush_denormal(True)
assert flushed(2) == [True, True]
assert inside(2) == [True, True] and inside(1) == [True]
assert flushed(2) == [True, True]
""",
    "the user's threads differ": """
flushed(2)
torch.set_flush_denormal(True)
assert flushed(2) == [True, False]
assert inside(2) == [True, True] and inside(1) == [True]
assert flushed(2) == [True, False]
""",
    "more threads inside, and more outside": """
flushed(2)
assert inside(3) == [True] * 3
assert flushed(3) == [False] * 3
assert inside(2) == [True] * 2
assert flushed(4) == [False] * 4
""",
    "one in the other, with an error, and another count set": """
flushed(3)
try:
    with threads(3):
        with threads(2):
            assert flushed(2) == [True] * 2
        assert torch.get_num_threads() == 3 and flushed(3) == [True] * 3
        torch.set_num_threads(2)
        raise KeyError
except KeyError:
    assert torch.get_num_threads() == 3
assert flushed(3) == [False] * 3
""",
    "in a thread": """
flushed(2)
found = []
worker = threading.Thread(target=lambda: found.extend([flushed(2), inside(2), flushed(2)]))
worker.start(), worker.join()
assert found == [[False] * 2, [True] * 2, [False] * 2] and flushed(2) == [False] * 2
""",
}


EACH = """
import json, os, traceback
ended = {}
for name, history in json.load(sys.stdin).items():
    if not (child := os.fork()):  # torch is imported once, and no thread of it has been at work
        try:
            exec(history, globals())
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    ended[name] = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
print(json.dumps(ended))
"""


@pytest.fixture(scope="module")
def ended():
    """How each history ended, in a process of its own, and what all of them complained of."""
    command = [sys.executable, "-c", FLUSHING + EACH]
    done = subprocess.run(command, input=json.dumps(HISTORIES), check=True, capture_output=True, text=True)
    return json.loads(done.stdout), done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="only there all threads are reached")
@pytest.mark.parametrize("history", HISTORIES)
def test_subnormals_are_zero_in_every_thread_and_then_as_before(history, ended):
    statuses, complaints = ended
    assert statuses[history] == 0, complaints
