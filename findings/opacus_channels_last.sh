#!/usr/bin/env bash
# opacus 1.6.0: per-sample gradients of a Conv2d are wrong where images or weights are in channels_last.
#
# Expected: the per-sample gradients add up to the gradient of the summed loss, whatever the memory layout.
# Seen: those of the weights of convolutions do not, by as much as they are large, without an error or a warning. With
#   contiguous images and weights they do.
# Why it matters: each gradient is clipped by its wrong norm, so privacy holds, but training follows another direction.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check opacus==1.6.0 torch==2.15.0 numpy==2.4.6
"$work/venv/bin/python" - <<'PYTHON'
import torch
from opacus.grad_sample import GradSampleModule
from torch import nn

torch.manual_seed(0)
for name, layout in (("contiguous", torch.contiguous_format), ("channels_last", torch.channels_last)):
    network = nn.Sequential(nn.Conv2d(3, 5, 4, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(5, 4, 4, 2, 1), nn.Flatten())
    network.to(memory_format=layout)
    images = torch.randn(8, 3, 16, 16).requires_grad_()
    network(images).sum().backward()
    expected = [parameter.grad.clone() for parameter in network.parameters()]
    GradSampleModule(network, loss_reduction="sum")(images).sum().backward()
    pairs = zip(network.parameters(), expected, strict=True)
    off = max(float((one.grad_sample.sum(0) - whole).abs().max() / whole.abs().max()) for one, whole in pairs)
    print(f"{name}: off by {off:.2g} of the largest gradient")
    assert (off > 0.01) == (name == "channels_last")
PYTHON
