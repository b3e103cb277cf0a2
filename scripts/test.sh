#!/usr/bin/env bash
# Runs the tests, installing them into .venv first if need be. Words behind it go to pytest:
# scripts/test.sh -m "not nightly" is what .ci/run runs
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh dev
exec .venv/bin/python -m pytest "$@"
