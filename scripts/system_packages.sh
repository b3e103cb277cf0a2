#!/usr/bin/env bash
# Installs the programs that some tests use, on Debian, as root: a browser, SSH and hosts' networks, shells. Without
# them those tests skip, and say what they lack.
set -euo pipefail
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
  chromium fish iproute2 openssh-client openssh-server rsync zsh
