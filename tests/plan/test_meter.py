"""What tensors take, against what is plain to see."""

import torch

from raygan.plan.meter import MemoryMeter


def test_every_storage_counts_once_until_it_is_freed():
    with MemoryMeter() as meter:
        first = torch.zeros(1000)
        second = first.view(10, 100) + 1
        assert (meter.alive, meter.most) == (8000, 8000)
        view = second[3]
        del first, second
        assert meter.alive == 4000, "a view keeps the whole"
        del view
    assert (meter.alive, meter.most) == (0, 8000)


def test_what_a_backward_pass_keeps_is_seen_and_what_a_later_one_frees():
    weight = torch.ones(250, requires_grad=True)
    with MemoryMeter() as meter:
        loss = weight.exp().exp().exp().sum()
        assert meter.alive == 3 * 1000 + 4, "each exp keeps its result"
        loss.backward()
        assert meter.alive == 1000 + 4, "the gradient and the loss"
    assert meter.most > 3 * 1000 + 4


def test_what_was_there_before_is_not_counted():
    before = torch.zeros(1000)
    with MemoryMeter() as meter:
        before.add_(1)
        before.view(10, 100)
        torch.split(before, 500)
    assert meter.most == 0
