import pytest
import torch

from raygan.config.gan import Gan
from raygan.gan import dcgan, mlp
from tests.errors import raises


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


@pytest.mark.parametrize(
    ("side", "latent", "generator", "discriminator"),
    [
        (64, 100, 3_576_704, 2_765_568),
        (32, 100, 1_068_928, 663_296),
        # A layer of 512 x 512 x 4 x 4 weights and its normalisation more each
        (128, 100, 3_576_704 + 4_195_328, 2_765_568 + 4_195_328),
        (256, 100, 3_576_704 + 2 * 4_195_328, 2_765_568 + 2 * 4_195_328),
    ],
)
def test_parameter_counts_are_the_tutorials(side, latent, generator, discriminator):
    gan = Gan(
        latent=latent, generator_width=64, discriminator_width=64, generator_norm="batch", discriminator_norm="batch"
    )
    assert count(dcgan.DCGANGenerator((3, side, side), gan)) == generator
    assert count(dcgan.DCGANDiscriminator((3, side, side), gan)) == discriminator


@pytest.mark.parametrize("norm", ["batch", "group", "none", "spectral"])
@pytest.mark.parametrize("shape", [(1, 16, 16), (3, 28, 28), (1, 32, 32), (3, 64, 64), (1, 128, 128), (3, 256, 256)])
def test_shapes(shape, norm):
    gan = Gan(latent=8, generator_width=4, discriminator_width=4, generator_norm=norm, discriminator_norm=norm)
    images = dcgan.DCGANGenerator(shape, gan)(torch.randn(2, 8))
    assert images.shape == (2, *shape)
    assert images.abs().max() <= 1
    assert dcgan.DCGANDiscriminator(shape, gan)(images).shape == (2,)


def test_spectral_norm_bounds_every_layer():
    gan = Gan(discriminator_width=4, discriminator_norm="spectral")
    network = dcgan.DCGANDiscriminator((1, 16, 16), gan)
    for _ in range(50):
        network(torch.randn(2, 1, 16, 16))
    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            assert torch.linalg.matrix_norm(module.weight.flatten(1), 2).item() == pytest.approx(1, abs=1e-2)


@pytest.mark.parametrize("shape", [(2,), (1, 16, 28), (1, 48, 48)])
def test_other_shapes_are_refused(shape):
    with raises("gan.generator", "conflict", "16", "28", "32", "64", "128", "256"):
        dcgan.DCGANGenerator(shape, Gan())


@pytest.mark.parametrize("norm", ["batch", "group", "none", "spectral"])
def test_mlp_shapes(norm):
    gan = Gan(latent=4, generator_width=16, discriminator_width=16, generator_norm=norm, discriminator_norm=norm)
    points = mlp.MLPGenerator((2,), gan)(torch.randn(5, 4))
    assert points.shape == (5, 2)
    assert mlp.MLPDiscriminator((2,), gan)(points).shape == (5,)
    assert mlp.MLPGenerator((1, 16, 16), gan)(torch.randn(5, 4)).shape == (5, 1, 16, 16)
