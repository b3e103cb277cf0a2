#!/usr/bin/env bash
# Installs what some tests use, on Debian, as root: a browser, SSH and hosts' networks, shells, a data set. Without it
# those tests skip, and say what they lack.
set -euo pipefail
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
  chromium dataset-fashion-mnist fish iproute2 openssh-client openssh-server rsync zsh
