#!/usr/bin/env bash
# Installs raygan into .venv and trains a GAN on handwritten digits held by five devices.
# Words behind it go to `raygan train`: scripts/demo.sh schedule=parallel
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh
exec .venv/bin/raygan train digits "$@"
