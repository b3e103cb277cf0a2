#!/usr/bin/env bash
# Lint, format and types: what must pass before the tests are worth running.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh dev
.venv/bin/ruff check .
.venv/bin/ruff format --check .
.venv/bin/mypy
