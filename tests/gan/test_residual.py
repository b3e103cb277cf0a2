"""The residual networks: parameter counts and work by the layer tables of their sources, and that they train."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from raygan.config.gan import Gan
from raygan.gan import r3gan, resnet
from raygan.gan.networks import build_networks, check_networks
from raygan.round.flops import FlopCounter
from tests.errors import raises
from tests.helpers import tiny
from tests.methods.parties import CPU, play


def parameters(network):
    return sum(parameter.numel() for parameter in network.parameters())


def convolution(before, after, kernel=3):
    return before * after * kernel**2 + after


def up(before, after):
    """A generator's block: two normalisations, two convolutions, a projection."""
    normalisations = 2 * before + 2 * after
    return normalisations + convolution(before, after) + convolution(after, after) + convolution(before, after, 1)


def down(before, after, projects=True):
    inner = convolution(before, before) + convolution(before, after)
    return inner + (convolution(before, after, 1) if projects else 0)


def first(after):
    return convolution(3, after) + convolution(after, after) + convolution(3, after, 1)


def generator(inner, widths):
    start = 128 * inner**2 * widths[0] + inner**2 * widths[0]
    blocks = sum(up(*pair) for pair in pairwise(widths))
    return start + blocks + 2 * widths[-1] + convolution(widths[-1], 3)


IMAGENET = [64, 128, 256, 512, 1024]
TABLES = {
    32: (256, 128, generator(4, [256] * 4), first(128) + down(128, 128) + 2 * down(128, 128, projects=False) + 129),
    48: (64, 64, generator(6, [512, 256, 128, 64]), first(64) + sum(down(w, 2 * w) for w in IMAGENET[:4]) + 1025),
    64: (64, 64, generator(4, IMAGENET[::-1]), first(64) + sum(down(w, 2 * w) for w in IMAGENET[:4]) + 1025),
    128: (
        64,
        64,
        generator(4, [1024, *IMAGENET[::-1]]),
        first(64) + sum(down(w, 2 * w) for w in IMAGENET[:4]) + down(1024, 1024, projects=False) + 1025,
    ),
}
"""Side: widths, and parameters by the layer tables of arXiv 1802.05957, appendix B.4, with biases."""


@pytest.mark.parametrize("side", TABLES)
def test_parameters_of_sngan_are_those_of_its_tables(side):
    width, d_width, of_generator, of_discriminator = TABLES[side]
    with torch.device("meta"):
        gan = Gan(latent=128, generator_width=width, discriminator_width=d_width, discriminator_norm="none")
        assert parameters(resnet.ResNetGenerator((3, side, side), gan)) == of_generator
        assert parameters(resnet.ResNetDiscriminator((3, side, side), gan)) == of_discriminator


def test_parameters_of_the_networks_for_cifar_10():
    """As counted of the authors' networks: 4.28 and 1.05 millions, and 20.73 and 20.68 of R3GAN's."""
    with torch.device("meta"):
        gan = Gan(latent=128, generator_width=256, discriminator_width=128, discriminator_norm="none")
        assert parameters(resnet.ResNetGenerator((3, 32, 32), gan)) == 4_276_739
        assert parameters(resnet.ResNetDiscriminator((3, 32, 32), gan)) == 1_053_825
        gan = Gan(
            generator_width=768, discriminator_width=768, discriminator_norm="none", generator_norm="none", depth=2
        )
        assert parameters(r3gan.R3GANGenerator((3, 32, 32), gan)) == 20_732_160
        assert parameters(r3gan.R3GANDiscriminator((3, 32, 32), gan)) == 20_683_776


def flops(network, *given):
    with FlopCounter() as counter, torch.no_grad():
        network(*given)
    return counter.flops


def test_work_of_sngans_generator_is_that_of_its_table():
    """Two FLOPs a product: each block's convolutions at its size, its projection at the size before it."""
    gan = Gan(latent=128, generator_width=16, depth=1)
    expected = 128 * 16 * 16
    for side in (8, 16, 32):
        expected += 2 * (16 * 16 * 9) * side**2 + 16 * 16 * (side // 2) ** 2
    expected += 16 * 3 * 9 * 32**2
    assert flops(resnet.ResNetGenerator((3, 32, 32), gan), torch.zeros(2, 128)) == 2 * 2 * expected


def test_work_of_sngans_discriminator_is_that_of_its_table():
    gan = Gan(discriminator_width=16, discriminator_norm="none")
    square = 16 * 16 * 9
    expected = (3 * 16 * 9 + square) * 32**2 + 3 * 16 * 16**2  # the first block
    expected += 2 * square * 16**2 + 16 * 16 * 8**2  # down
    expected += 2 * 2 * square * 8**2 + 16
    assert flops(resnet.ResNetDiscriminator((3, 32, 32), gan), torch.zeros(2, 3, 32, 32)) == 2 * 2 * expected


def test_work_of_r3gans_discriminator_is_that_of_its_layers():
    gan = Gan(discriminator_width=32, discriminator_norm="none", depth=2)
    block = 2 * 32 * 64 + 64 * 16 * 9
    expected = 3 * 32 * 32**2 + sum(2 * block * side**2 for side in (32, 16, 8, 4)) + 32 * 16 + 32
    expected += sum(9 * 32 * side**2 for side in (16, 8, 4))  # the filters
    assert flops(r3gan.R3GANDiscriminator((3, 32, 32), gan), torch.zeros(2, 3, 32, 32)) == 2 * 2 * expected


@pytest.mark.parametrize("side", [16, 28, 32, 48, 64, 128])
@pytest.mark.parametrize("channels", [1, 3])
def test_sngans_networks_fit_each_other(side, channels):
    own = ["gan.generator=resnet", "gan.discriminator=resnet", "batch_size=2", "generator_batch_size=2"]
    check_networks(
        tiny(*own, "gan.depth=2", "gan.generator_width=2", "gan.discriminator_width=2"), (channels, side, side), 2
    )


@pytest.mark.parametrize("side", [16, 32, 64, 128])
def test_r3gans_networks_fit_each_other(side):
    check_networks(tiny(*R3GAN), (3, side, side), 2)


KINDS = {
    "resnet": (resnet.ResNetGenerator, resnet.ResNetDiscriminator),
    "r3gan": (r3gan.R3GANGenerator, r3gan.R3GANDiscriminator),
}
R3GAN = [
    *("gan.generator=r3gan", "gan.discriminator=r3gan", "gan.generator_norm=none", "gan.discriminator_norm=none"),
    *("gan.generator_width=8", "gan.discriminator_width=8", "batch_size=2", "generator_batch_size=2"),
]
TRAINED = {"resnet": ["gan.generator=resnet", "gan.discriminator=resnet"], "r3gan": R3GAN}
CLASSES, WIDTH = 5, 8


def conditional(kind, condition, *words):
    """Both networks at 32 pixels of three channels, and the side of the generator's first maps."""
    given = {"generator_width": WIDTH, "discriminator_width": WIDTH, "generator_norm": "none", "latent": 6}
    given |= {"discriminator_norm": "none", "condition": condition, "d2d_size": 7, **dict(words)}
    gan = Gan(**given, class_weights=() if condition == "none" else (1.0,) * CLASSES)
    return [network((3, 32, 32), gan) for network in KINDS[kind]]


def added(kind, condition, embeds=False):
    """Parameters that classes add to G and D, and products for a sample: of a first layer, or of a second last one."""
    biased = kind == "resnet"
    start = CLASSES * WIDTH * (4 * 4 if biased else 1)  # to the first maps, or to a factor of each
    values = 7 if embeds else CLASSES
    last = WIDTH * values
    if condition != "concat":
        return start, last + biased * values + embeds * CLASSES * 7, start, last
    if kind == "r3gan":
        return start, CLASSES * WIDTH, start, CLASSES * WIDTH * 32**2
    both = CLASSES * WIDTH * 9, CLASSES * WIDTH  # the first block's convolution, and its projection at half the size
    return start, sum(both), start, both[0] * 32**2 + both[1] * 16**2


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("condition", ["auxiliary", "projection", "concat", "d2d_ce"])
def test_classes_add_these_parameters_and_this_work(kind, condition):
    embeds = condition == "d2d_ce"
    words = [("auxiliary_loss", "d2d_ce")] if embeds else []
    plain = conditional(kind, "none")
    networks = conditional(kind, "auxiliary" if embeds else condition, *words)
    z, images, labels = torch.randn(2, 6), torch.randn(2, 3, 32, 32), torch.tensor([0, 4])
    of_images = (images, labels) if condition in ("projection", "concat") else (images,)
    g_added, d_added, g_work, d_work = added(kind, condition, embeds)
    assert parameters(networks[0]) - parameters(plain[0]) == g_added
    assert parameters(networks[1]) - parameters(plain[1]) == d_added
    assert flops(networks[0], z, labels) - flops(plain[0], z) == 2 * 2 * g_work
    assert flops(networks[1], *of_images) - flops(plain[1], images) == 2 * 2 * d_work


@pytest.mark.parametrize("kind", KINDS)
def test_a_projection_adds_the_inner_product_with_the_vector_of_the_class(kind):
    _, discriminator = conditional(kind, "projection")
    images, labels = torch.randn(3, 3, 32, 32), torch.tensor([0, 4, 2])
    seen = []
    with torch.no_grad():
        hook = discriminator.end.register_forward_hook(lambda module, given, out: seen.extend([*given, out]))
        found = discriminator(images, labels)
        hook.remove()
    features, logits = seen
    layer = discriminator.head.layer
    inner = (features * layer.weight[labels]).sum(dim=1) + (0 if layer.bias is None else layer.bias[labels])
    torch.testing.assert_close(found, logits.flatten() + inner)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("condition", ["auxiliary", "projection", "concat"])
def test_a_single_class_conditions_nothing(kind, condition):
    one = tiny(f"gan.condition={condition}", "gan.class_weights=[1]", *TRAINED[kind])
    networks, plain = build_networks(one, (1, 16, 16), CPU), build_networks(tiny(*TRAINED[kind]), (1, 16, 16), CPU)
    assert torch.equal(networks.discriminator.vector, plain.discriminator.vector)
    assert torch.equal(networks.generator.vector, plain.generator.vector)


def test_resampling_keeps_a_constant_inside_and_a_line():
    line = torch.arange(8.0).expand(1, 2, 8, 8)
    assert torch.equal(r3gan._doubled(line)[0, 0, 3, :15], torch.arange(15.0) / 2)
    assert torch.equal(r3gan._halved(line)[0, 0, 2, 1:], torch.tensor([2.0, 4.0, 6.0]))


def test_a_residual_block_of_r3gan_begins_as_nothing():
    with torch.random.fork_rng():
        block = r3gan._Block(8, 1.0)
    maps = torch.randn(2, 8, 4, 4)
    assert torch.equal(block(maps), maps)


@pytest.mark.parametrize("norm", ["none", "group", "spectral", "batch"])
def test_what_sngans_discriminator_promises_holds(norm):
    own = ["gan.generator=resnet", "gan.discriminator=resnet", f"gan.discriminator_norm={norm}"]
    networks = build_networks(tiny(*own), (1, 16, 16), CPU)
    assert networks.per_sample is (norm in ("none", "group"))
    if networks.per_sample:
        images = torch.randn(4, 1, 16, 16)
        torch.testing.assert_close(networks.logits(images)[:2], networks.logits(images[:2]))


@pytest.mark.parametrize("words", TRAINED.values(), ids=TRAINED)
def test_they_train(words):
    start, end = (play(tiny(*words, "gan.r1=0.1"), [20, 20], rounds).networks.generator.dump() for rounds in (0, 2))
    assert np.isfinite(end).all()
    assert not np.array_equal(start, end)


@pytest.mark.parametrize(
    ("words", "shape", "about"),
    [
        (["gan.generator=resnet"], (1, 20, 20), ("gan.generator", "conflict", "resnet", "16, 28, 32, 48, 64, 128")),
        ([*R3GAN, "gan.generator_width=12"], (1, 16, 16), ("gan.generator_width", "conflict", "r3gan", "8")),
        ([*R3GAN, "gan.discriminator_norm=batch"], (1, 16, 16), ("gan.discriminator_norm", "conflict", "r3gan")),
        (R3GAN, (1, 28, 28), ("gan.generator", "conflict", "r3gan", "16, 32, 64, 128")),
    ],
)
def test_what_they_are_not_made_for_is_one_line(words, shape, about):
    with raises(*about):
        build_networks(tiny(*words), shape, CPU)
