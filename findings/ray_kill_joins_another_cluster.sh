#!/usr/bin/env bash
# ray.kill of an actor whose Ray this process has shut down joins another cluster on the machine.
#
# Expected: an error that Ray is not initialised here, or nothing: the actor ended with its Ray.
# Happens: the call connects this process, as a driver, to a cluster that it finds running on the machine, whosever that
#   is. Then it refuses the handle, as one of another session, and the connection stays.
# Seen with: ray 2.60.0.
# Matters: code that ends its actors once more than needed, after a failure, becomes a driver of somebody else's cluster,
#   and what it asks of Ray from then on runs there.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet "ray==2.60.0" 2>/dev/null
cat >"$place/show.py" <<'PYTHON'
import sys

import ray
from ray._private.node import Node
from ray._private.parameter import RayParams

SMALL = {"num_cpus": 1, "include_dashboard": False, "object_store_memory": 80 * 2**20}


@ray.remote
class Counter:
    def count(self):
        return 1


print(f"ray {ray.__version__}")
another = Node(RayParams(**SMALL), head=True)
ray.init("local", log_to_driver=False, logging_level=50, **SMALL)
counter, own = Counter.remote(), ray.get_runtime_context().gcs_address
assert ray.get(counter.count.remote()) == 1
ray.shutdown()
print(f"  shut down: connected {ray.is_initialized()}")
try:
    ray.kill(counter)
    failure = "nothing raised"
except Exception as error:
    failure = f"{type(error).__name__}: {str(error).split('. ')[0]}"
connected = ray.is_initialized()
joined = connected and ray.get_runtime_context().gcs_address != own
print(f"  ray.kill: {failure}; connected {connected}, to another cluster {joined}")
ray.shutdown()
another.kill_all_processes(check_alive=False, allow_graceful=False)
if not (joined and failure.startswith("ActorHandleNotFoundError")):
    sys.exit("the behaviour has changed")
print("as described: the process has joined a cluster that it was never told of")
PYTHON
cd "$place"
env -u RAY_ADDRESS RAY_TMPDIR="$place" RAY_USAGE_STATS_ENABLED=0 "$place/venv/bin/python" show.py 2>/dev/null
