#!/usr/bin/env bash
# Tune's ResultGrid.get_best_result() returns a lone trial without looking at it.
#
# Expected: with one trial as with two: a trial that failed without a report, whose metric is NaN (filter_nan_and_inf is
#   on by default), or a metric that nobody reported raise "No best trial found for the given metric".
# Happens: with two trials it raises. With one it returns that one: the failed, the NaN, and for any unknown name.
# Seen with: ray[tune] 2.60.0.
# Matters: scripts that are tried with one sample, or sweeps of which one trial is left, go on with the "best" config of a
#   trial that failed; a misspelt metric shows only once there is a second trial.
set -euo pipefail
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install --quiet "ray[tune]==2.60.0"
cat >"$place/show.py" <<'PYTHON'
import os
import sys

os.environ["RAY_AIR_NEW_OUTPUT"] = "0"
import ray
from ray import tune


def fails(config):
    raise ValueError("it failed")


def gives_nan(config):
    tune.report({"loss": float("nan")})


def gives_one(config):
    tune.report({"loss": 1.0})


def best(trainable, count, metric):
    grid = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(metric=metric, mode="min", num_samples=count),
        run_config=tune.RunConfig(storage_path=os.getcwd(), verbose=0),
    ).fit()
    try:
        found = grid.get_best_result(metric=metric, mode="min")
    except RuntimeError as error:
        return f"raises: {str(error)[:45]}..."
    return f"returns a trial: loss {found.metrics.get('loss')}, error {type(found.error).__name__}"


os.environ["TUNE_DISABLE_STRICT_METRIC_CHECKING"] = "1"
ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False)
print(f"ray {ray.__version__}")
same = True
for name, trainable, metric in (("failed", fails, "loss"), ("NaN", gives_nan, "loss"), ("unknown metric", gives_one, "no")):
    one, two = (best(trainable, count, metric) for count in (1, 2))
    print(f"  {name}: of one trial {one}; of two {two}")
    same = same and one.startswith("returns") and two.startswith("raises")
ray.shutdown()
if not same:
    sys.exit("the behaviour has changed")
print("as described: a lone trial is the best, whatever it came to")
PYTHON
cd "$place"
RAY_DEDUP_LOGS=0 "$place/venv/bin/python" show.py
