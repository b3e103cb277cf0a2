#!/usr/bin/env bash
# Tune's quantised floats give their two ends half the weight; Optuna's search of the same Tune space does not.
#
# Expected: one search space, one distribution: tune.quniform(1, 5, 1) draws each of 1..5 with probability 1/5 ("uniformly
#   ... quantized"), whichever searcher samples it.
# Happens: Tune's own sampler draws between the ends and rounds, so that an end has half a step to be rounded from and
#   gets 1/8, every other value 1/4. OptunaSearch turns the same domain into FloatDistribution(step=1), which is even.
#   (Tune's quantised integers draw by place and are even.)
# Seen with: ray[tune] 2.60.0, optuna 5.0.0.
# Matters: a random search and an Optuna search of one space are compared as if they searched the same; the ends, where
#   the best values of a badly chosen range lie, are tried half as often by one of them.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet "ray[tune]==2.60.0" "optuna==5.0.0"
cat >"$place/show.py" <<'PYTHON'
import sys
from collections import Counter

import numpy as np
import optuna
import ray
from ray import tune
from ray.tune.search.optuna import OptunaSearch

optuna.logging.set_verbosity(optuna.logging.WARNING)
KEYS, TRIALS = 50, 100
space = {f"k{number}": tune.quniform(1, 5, 1) for number in range(KEYS)}
random = np.random.default_rng(0)
by_tune = Counter(domain.sample(random_state=random) for domain in space.values() for _ in range(TRIALS))
search = OptunaSearch(metric="m", mode="min", sampler=optuna.samplers.RandomSampler(seed=0))
search.set_search_properties("m", "min", space)  # as the Tuner gives it its param_space
by_optuna = Counter(value for number in range(TRIALS) for value in search.suggest(str(number)).values())
print(f"ray {ray.__version__}, optuna {optuna.__version__}, tune.quniform(1, 5, 1), {KEYS * TRIALS} draws")
for name, counts in (("Tune's sampler", by_tune), ("OptunaSearch", by_optuna)):
    print(f"  {name:15}", {value: f"{counts[value] / KEYS / TRIALS:.3f}" for value in sorted(counts)})
ends = [(counts[1.0] + counts[5.0]) / KEYS / TRIALS for counts in (by_tune, by_optuna)]
if not (0.22 < ends[0] < 0.28 and 0.37 < ends[1] < 0.43):
    sys.exit(f"the behaviour has changed: the ends' share is {ends[0]:.3f} and {ends[1]:.3f}, it was 0.25 and 0.40")
print("as described: one space, two distributions")
PYTHON
cd "$place"
RAY_DEDUP_LOGS=0 "$place/venv/bin/python" show.py
