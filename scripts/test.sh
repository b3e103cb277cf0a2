#!/usr/bin/env bash
# Runs the tests in two processes, installing them into .venv first if need be. Words behind it go to pytest:
# scripts/test.sh -m "not nightly" is what .ci/run runs; -n 0 is one process, for --pdb
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh dev
exec .venv/bin/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder "$@"
