import numpy as np
import pytest
import torch
from torch import nn

from raygan.config.gan import Adam, LrStep, Sgd
from raygan.gan.flat import FlatModule
from raygan.gan.optimizer import FlatOptimizer
from raygan.gan.transfer import uploaded

CPU = torch.device("cpu")


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 1))


def test_the_vector_is_the_network():
    module = network()
    expected = [tensor.clone() for tensor in module.parameters()]
    flat = FlatModule(module, CPU)
    assert flat.num_parameters == sum(tensor.numel() for tensor in expected) == 33
    assert flat.vector.numel() == 33 + 4  # running mean and variance; not the count of batches
    assert all(torch.equal(a, b) for a, b in zip(module.parameters(), expected, strict=True))
    flat.load(np.full(37, 0.5, np.float32))
    assert all((tensor == 0.5).all() for tensor in module.parameters())
    assert (module[1].running_var == 0.5).all()
    module(torch.randn(3, 1, 4, 4))
    assert (flat.buffers != 0.5).all(), "a forward pass in training mode moves the statistics in the vector"


def test_a_network_moves_with_all_that_it_holds():
    flat, stays = FlatModule(network(), CPU), FlatModule(network(), CPU)
    with torch.no_grad():
        for one in (flat, stays):
            one.vector.add_(0.25)
    vector, gradient = torch.empty(2, 37)[1], torch.zeros(33)
    flat.lie_in(vector, gradient)
    images = torch.randn(3, 1, 4, 4)
    for one in (flat, stays):
        one.module(images).sum().backward()
    assert flat.vector.data_ptr() == vector.data_ptr() == next(flat.module.parameters()).data_ptr()
    assert torch.equal(flat.vector, stays.vector), "with the statistics that the pass has moved"
    assert torch.equal(gradient, stays.gradient)
    assert gradient.any()
    assert {name: one.shape for name, one in flat.like().items()} == {n: one.shape for n, one in stays.like().items()}
    FlatOptimizer(Sgd(lr=1.0), flat).step(1)
    assert torch.equal(vector[:33], stays.vector[:33] - stays.gradient)


@pytest.mark.parametrize("settings", [Adam(lr=1e-2), Sgd(lr=1e-2, momentum=0.9), Sgd()])
def test_steps_are_torchs_own_bit_for_bit(settings):
    plain, flat = network(), FlatModule(network(), CPU)
    if isinstance(settings, Adam):
        theirs = torch.optim.Adam(plain.parameters(), lr=1e-2, betas=(settings.beta1, settings.beta2))
    else:
        theirs = torch.optim.SGD(plain.parameters(), lr=settings.lr, momentum=settings.momentum)
    ours = FlatOptimizer(settings, flat)
    for step in range(5):
        torch.manual_seed(step)
        batch = torch.randn(3, 1, 4, 4)
        theirs.zero_grad()
        plain(batch).square().mean().backward()
        theirs.step()
        flat.parameters.grad.zero_()
        flat.module(batch).square().mean().backward()
        ours.step(1)
    expected = torch.cat([tensor.detach().flatten() for tensor in plain.parameters()])
    assert torch.equal(flat.parameters.detach(), expected)


def test_an_optimizer_comes_back_from_its_vector():
    def run(interrupt):
        flat = FlatModule(network(), CPU)
        optimizer = FlatOptimizer(Adam(lr=1e-2), flat)
        for step in range(6):
            if interrupt and step == 3:
                weights, moments = flat.dump(), optimizer.dump()
                flat = FlatModule(network(), CPU)
                optimizer = FlatOptimizer(Adam(lr=1e-2), flat)
                flat.load(weights)
                optimizer.load(moments)
            torch.manual_seed(step)
            flat.parameters.grad.zero_()
            flat.module(torch.randn(3, 1, 4, 4)).square().mean().backward()
            optimizer.step(1)
        return flat.vector

    assert torch.equal(run(interrupt=False), run(interrupt=True))


def test_a_step_is_as_long_as_its_rounds_rate_says():
    flat = FlatModule(nn.Linear(3, 1), CPU)
    flat.load(np.array([1, 2, 4, 8], np.float32))
    optimizer = FlatOptimizer(Sgd(lr=0.5, lr_steps=(LrStep(round=3, lr=0.25), LrStep(round=4, lr=2))), flat)
    flat.parameters.grad.copy_(torch.tensor([1.0, 0.0, -1.0, 2.0]))
    places = []
    for round in (1, 2, 2, 3, 4, 5):
        optimizer.step(round)
        places.append(flat.dump()[0])
    assert places == [0.5, 0, -0.5, -0.75, -2.75, -4.75]
    assert flat.dump().tolist() == [-4.75, 2, 9.75, -3.5]


def test_moments_go_on_when_the_rate_changes():
    def run(settings_of):
        flat, state = FlatModule(network(), CPU), None
        for round in range(1, 5):
            optimizer = FlatOptimizer(settings_of(round), flat)
            optimizer.load(state)
            torch.manual_seed(round)
            flat.parameters.grad.normal_()
            optimizer.step(round)
            state = optimizer.dump()
        return flat.vector

    stepped = Adam(lr=1e-2, beta1=0.5, lr_steps=(LrStep(round=3, lr=1e-3),))
    assert torch.equal(run(lambda round: stepped), run(lambda round: Adam(lr=1e-2 if round < 3 else 1e-3, beta1=0.5)))


def test_a_tensor_never_shares_an_arrays_memory():
    array = np.zeros(3, np.float32)
    array.flags.writeable = False
    uploaded(array, torch.device("cpu")).add_(1)
    assert not array.any()
