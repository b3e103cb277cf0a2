#!/usr/bin/env bash
# torch 2.15.0: FlopCounterMode counts the backward pass of a grouped convolution (1 + groups) / 2 times.
#
# Expected: the gradients of the input and of the weight take as many operations as the forward pass each, so the
#   backward pass counts twice the forward one, whatever the number of groups.
# Seen: 2 times with one group, 3 with two, 9 with eight channels in eight groups: the gradient of the weight is counted
#   as if every output channel met every input channel. The forward pass is counted right.
# Why it matters: time models and "FLOPs per step" of depthwise networks (MobileNet, ConvNeXt, EfficientNet) are too high
#   by more than ten times, while those of plain networks are right, so comparisons between the two are wrong.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check torch==2.15.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import torch
from torch.utils.flop_counter import FlopCounterMode

print("torch", torch.__version__)
for kind in (torch.nn.Conv2d, torch.nn.ConvTranspose2d):
    for groups in (1, 2, 8):
        layer = kind(8, 8, 4, 2, 1, groups=groups, bias=False)
        images = torch.randn(3, 8, 16, 16, requires_grad=True)
        with FlopCounterMode(display=False) as forward:
            out = layer(images)
        with FlopCounterMode(display=False) as backward:
            out.sum().backward()
        ratio = backward.get_total_flops() / forward.get_total_flops()
        print(f"{kind.__name__}, {groups} groups: backward / forward = {ratio:g} (2 expected)")
        assert ratio == 1 + groups
PYTHON
