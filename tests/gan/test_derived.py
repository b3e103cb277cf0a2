"""What follows from parameters: largest singular values, and networks that say themselves what does."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import spectral_norm as spectral_hook
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from raygan.config.gan import Gan
from raygan.gan import dcgan, mlp
from raygan.gan.derived import Derived, singular_vectors
from raygan.gan.flat import FlatModule
from raygan.gan.networks import check_networks
from tests.errors import raises
from tests.helpers import tiny

CPU = torch.device("cpu")


def largest(matrix):
    return torch.linalg.matrix_norm(matrix.detach().double(), 2).item()


MATRICES = {
    "gaussian": lambda shape: torch.randn(shape),
    "all values alike": lambda shape: nn.init.orthogonal_(torch.empty(shape)),
    "values nearly alike": lambda shape: nn.init.orthogonal_(torch.empty(shape)) + 0.01 * torch.randn(shape),
    "rank one": lambda shape: torch.outer(torch.randn(shape[0]), torch.randn(shape[1])),
    "one row": lambda shape: torch.zeros(shape).index_fill_(0, torch.tensor([shape[0] // 2]), 1.0),
    "minute": lambda shape: 1e-25 * torch.randn(shape),
    "huge": lambda shape: 1e25 * torch.randn(shape),
}


@pytest.mark.parametrize("shape", [(1, 64), (64, 1), (5, 3), (32, 16), (64, 512), (300, 40), (200, 200)], ids=str)
@pytest.mark.parametrize("kind", MATRICES)
def test_the_vectors_give_the_largest_singular_value(kind, shape):
    torch.manual_seed(3)
    matrix = MATRICES[kind](shape)
    u, v = singular_vectors(matrix)
    assert u.double().norm().item() == pytest.approx(1, abs=1e-6)
    assert v.double().norm().item() == pytest.approx(1, abs=1e-6)
    assert torch.dot(u.double(), matrix.double() @ v.double()).item() == pytest.approx(largest(matrix), rel=0.01)


def test_of_what_is_not_finite_they_are_nan_and_of_noughts_noughts():
    for bad in (torch.nan, torch.inf):
        assert all(vector.isnan().all() for vector in singular_vectors(torch.full((30, 40), bad)))
    assert all((vector == 0).all() for vector in singular_vectors(torch.zeros(30, 40)))


def test_they_do_not_depend_on_threads_or_on_what_was_there_before():
    torch.manual_seed(0)
    layer = FlatModule(spectral_norm(nn.Linear(700, 600)), CPU)
    before, threads = layer.dump(), torch.get_num_threads()
    layer.derived.fill_(0.5)
    torch.set_num_threads(2)
    try:
        layer.refresh()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(threads)
    assert np.array_equal(layer.dump(), before)


@pytest.mark.parametrize(
    "network", [dcgan.DCGANGenerator, dcgan.DCGANDiscriminator, mlp.MLPGenerator, mlp.MLPDiscriminator]
)
@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 28, 28), (3, 64, 64)])
def test_initial_networks_have_norm_1(network, shape):
    module = network(shape, Gan(latent=8, generator_norm="spectral", discriminator_norm="spectral"))
    if network in (mlp.MLPGenerator, mlp.MLPDiscriminator):
        module = FlatModule(module, CPU).module
    layers = [layer for layer in module.eval().modules() if hasattr(layer, "parametrizations")]
    assert len(layers) >= 2
    for layer in layers:
        matrix = layer.parametrizations.weight[0]._reshape_weight_to_matrix(layer.weight)
        assert largest(matrix) == pytest.approx(1, abs=0.01)


class Discriminator(nn.Module):
    """Cannot recompute what it says follows from its parameters."""

    derived_buffers = ("scale",)

    def __init__(self, shape, gan):
        super().__init__()
        self.register_buffer("scale", torch.ones(1))

    def refresh(self):
        raise ZeroDivisionError("no scale")


def test_a_run_says_which_network_cannot_recompute_what_follows_from_it():
    config = tiny("gan.discriminator=tests.gan.test_derived:Discriminator")
    with raises("gan.discriminator", "failed"):
        check_networks(config, (1, 16, 16), 8)


class Hooked(nn.Sequential):
    """torch's older spectral normalisation."""

    def __init__(self):
        super().__init__(spectral_hook(nn.Conv2d(3, 5, 3)), spectral_hook(nn.ConvTranspose2d(5, 4, 3)))

    def matrices(self):
        self.eval()(torch.zeros(1, 3, 8, 8))  # the hook sets the weights at a pass
        return [self[0].weight.flatten(1), self[1].weight.transpose(0, 1).flatten(1)]


class Chained(nn.Sequential):
    """A spectral norm of a weight that another parametrisation makes of two; of a bias, too, that keeps nothing."""

    def __init__(self):
        super().__init__(spectral_norm(spectral_norm(weight_norm(nn.Linear(40, 30))), "bias"))

    def matrices(self):
        return [self.eval()[0].weight]


class Whitened(nn.Module):
    """With a derived buffer of its own."""

    derived_buffers = ("inverse",)

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(4, 4))
        self.register_buffer("inverse", torch.zeros(4, 4))
        self.register_buffer("seen", torch.zeros(1))

    def refresh(self):
        self.inverse.copy_(torch.linalg.inv(self.weight))

    def matrices(self):
        return [self.weight @ self.inverse]


@pytest.mark.parametrize(("kind", "vectors"), [(Hooked, 5 + 27 + 4 + 45), (Chained, 30 + 40), (Whitened, 16)])
def test_networks_of_ones_own(kind, vectors):
    """Two networks and their mean: that of parameters, with what follows from it."""
    torch.manual_seed(0)
    one, other = FlatModule(kind(), CPU), FlatModule(kind(), CPU)
    assert one.derived.numel() == vectors
    assert one.buffers.numel() == (kind is Whitened)
    assert one.num_averaged + vectors == one.vector.numel()
    kept = one.dump()
    mean = (one.averaged + other.averaged) / 2
    with one.holding(mean):
        whole = one.dump()
    assert np.array_equal(one.dump(), kept)
    other.take_over(mean.numpy())
    assert np.array_equal(other.dump(), whole)
    for network in (one, other):
        assert [largest(matrix) for matrix in network.module.matrices()] == [pytest.approx(1, abs=0.005)] * (
            2 if kind is Hooked else 1
        )
    named = other.named(other.vector)
    assert list(named) == [*dict(other.module.named_parameters()), *list(named)[len(list(other.module.parameters())) :]]
    assert all(torch.equal(named[name], tensor) for name, tensor in other.module.state_dict().items() if name in named)


def test_the_beginning_of_a_mean_leaves_the_buffers_alone():
    torch.manual_seed(0)
    network = FlatModule(nn.Sequential(spectral_norm(nn.Linear(3, 4)), nn.BatchNorm1d(4)), CPU)
    network.buffers.fill_(7)
    network.take_over(np.ones(network.num_parameters, np.float32))
    assert (network.parameters == 1).all()
    assert (network.buffers == 7).all()
    assert network.derived.tolist() == pytest.approx([0.5] * 4 + [3**-0.5] * 3)


def test_what_a_network_promises_is_checked():
    class Forgets(nn.Linear):
        derived_buffers = ("norm",)

    with raises("Forgets.derived_buffers", "missing"):
        FlatModule(Forgets(2, 2), CPU)
    Forgets.refresh = lambda self: None
    with raises("Forgets.derived_buffers", "unknown", "'norm'"):
        FlatModule(Forgets(2, 2), CPU)
    assert Derived(nn.Linear(2, 2)).buffers == []
