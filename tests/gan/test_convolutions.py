"""The convolutions as matrix products against torch's own, which they are named after."""

import copy

import pytest
import torch
from torch import nn

from raygan.gan.convolutions import FromPoint, ToGrey, ToPoint

CASES = {
    "from_point": (lambda: FromPoint(5, 3, 4), (2, 5, 1, 1)),
    "from_point_without_bias": (lambda: FromPoint(5, 3, 7, bias=False), (2, 5, 1, 1)),
    "to_grey": (lambda: ToGrey(3, 1, 4, 2, 1, bias=False), (2, 3, 6, 6)),
    "to_point": (lambda: ToPoint(3, 1, 4, bias=False), (2, 3, 4, 4)),
}


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_values_gradients_and_their_gradients_are_torchs(case, layout):
    make, shape = case
    torch.manual_seed(0)
    ours = make().to(memory_format=layout)
    theirs = copy.deepcopy(ours)
    theirs.__class__ = nn.ConvTranspose2d if isinstance(ours, nn.ConvTranspose2d) else nn.Conv2d
    given = torch.randn(shape).to(memory_format=layout)
    results = []
    for module in (ours, theirs):
        x = given.clone().requires_grad_()
        out = module(x)
        (slope,) = torch.autograd.grad(out.square().sum(), x, create_graph=True)
        penalty = torch.autograd.grad(slope.square().sum() + out.sum(), list(module.parameters()))
        results.append([out, slope, *penalty])
    for mine, reference in zip(*results, strict=True):
        assert mine.shape == reference.shape
        torch.testing.assert_close(mine, reference)
