#!/usr/bin/env bash
# Runs the tests that take too long for every change: whole scripts, clusters of namespaces, wheels, long hunts for
# inputs that break something. Words behind it go to pytest: scripts/nightly.sh tests/test_hostile.py
set -euo pipefail
cd "$(dirname "$0")/.."
exec scripts/test.sh -rs -m nightly "$@"
