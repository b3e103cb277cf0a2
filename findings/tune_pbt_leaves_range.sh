#!/usr/bin/env bash
# Tune's population-based training explores out of the search space that it is given, and off its steps.
#
# Expected: hyperparam_mutations={"lr": tune.loguniform(1e-4, 1e-2)} keeps "lr" between 1e-4 and 1e-2, and
#   tune.quniform(0.1, 0.5, 0.1) keeps to its five values: they are Tune's own domains, and a first draw keeps to them.
# Happens: a value that is not drawn anew is multiplied by 1.2 or 0.8, from one exploit to the next; neither bounds nor
#   the step are looked at.
# Seen with: ray[tune] 2.60.0.
# Matters: a range is often a limit (a learning rate that diverges, a probability); a population drifts over it, and what
#   it reports as best was never in the space that was to be searched.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet "ray[tune]==2.60.0"
cat >"$place/show.py" <<'PYTHON'
import random
import sys

import numpy as np
import ray
from ray import tune
from ray.tune.schedulers import PopulationBasedTraining

random.seed(0)
np.random.seed(0)
steps = [0.1, 0.2, 0.3, 0.4, 0.5]
space = {"lr": tune.loguniform(1e-4, 1e-2), "drop": tune.quniform(0.1, 0.5, 0.1)}
pbt = PopulationBasedTraining(time_attr="training_iteration", metric="m", mode="min", hyperparam_mutations=space)


class Member:
    """What PBT reads of the trial that is copied."""

    config = {"lr": 1e-3, "drop": 0.3}


seen = []
for _ in range(2000):
    Member.config, _ = pbt._get_new_config(Member, Member)  # as at each exploit
    seen.append(Member.config)
rates = [config["lr"] for config in seen]
off = sum(all(abs(config["drop"] - step) > 1e-9 for step in steps) for config in seen)
outside = sum(not 1e-4 <= rate <= 1e-2 for rate in rates)
print(f"ray {ray.__version__}, 2,000 explores with the default arguments")
print(f"  loguniform(1e-4, 1e-2): from {min(rates):.3g} to {max(rates):.3g}, {outside} outside")
print(f"  quniform(0.1, 0.5, 0.1): {off} on no step, greatest {max(config['drop'] for config in seen):.3g}")
if not (outside and off):
    sys.exit("the behaviour has changed: all values stayed in the space")
print("as described: explores leave the space")
PYTHON
cd "$place"
RAY_DEDUP_LOGS=0 "$place/venv/bin/python" show.py
