#!/usr/bin/env bash
# Makes .venv beside the sources and installs raygan into it, if that has not been done for these
# dependencies yet. Needs Python 3.11 or newer and pip; nothing else. Usage: scripts/setup.sh [EXTRAS]
set -euo pipefail
cd "$(dirname "$0")/.."
extras=${1:-}
stamp=.venv/.installed${extras:+-$extras}
if ! cmp -s pyproject.toml "$stamp"; then
  python=$(command -v python3.11 || command -v python3)
  "$python" -c 'import sys; sys.exit(f"raygan needs Python 3.11 or newer, this is {sys.version.split()[0]}" if sys.version_info < (3, 11) else 0)'
  [ -d .venv ] || "$python" -m venv .venv
  echo "Installing raygan into .venv (torch is large: two to five minutes the first time)"
  .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-compile --editable ".${extras:+[$extras]}"
  # On all cores, where pip would use one. It says no to files of packages that are no Python, such as templates.
  .venv/bin/python -W ignore -m compileall -qq -j 0 .venv/lib || true
  cp pyproject.toml "$stamp"
fi
