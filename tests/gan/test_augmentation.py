"""DiffAugment: what is drawn, what it does to images, and what it does to their gradients."""

import numpy as np
import pytest
import torch

from raygan.errors import RunError
from raygan.gan.augmentation import changed, draw_changes
from raygan.gan.conditions import Labelled
from raygan.gan.networks import build_networks
from raygan.gan.steps import discriminator_gradient, feedback, generate
from raygan.rng import Role, stream
from tests.errors import raises
from tests.helpers import tiny
from tests.methods.parties import CPU, play

EVERY = ("colour", "translation", "cutout")
SHAPE = (3, 16, 24)


def rows(**values):
    """One image's changes, none unless named."""
    names = ("brightness", "saturation", "contrast", "down", "right", "top", "left", "side")
    return torch.tensor([[float(values.get(name, 0)) for name in names]])


def drawn(policy=EVERY, p=1.0, count=5000, seed=0):
    return draw_changes(policy, p, count, SHAPE, np.random.default_rng(seed))


def test_nothing_to_change_changes_no_bit():
    images = torch.randn(1, *SHAPE)
    assert torch.equal(changed(images, rows()), images)
    assert not drawn((), 1.0).any()
    assert not drawn(EVERY, 0.0)[:, [0, 1, 2, 3, 4, 7]].any(), "a square without a side is none"


def test_ranges_are_those_of_the_authors_code():
    """Brightness +-0.5, saturation 0 to 2, contrast 0.5 to 1.5, an eighth of each side, a square of half the side."""
    low, high = drawn().min(axis=0), drawn().max(axis=0)
    assert low == pytest.approx([-0.5, -1, -0.5, -2, -3, -4, -4, 8], abs=2e-3)
    assert high == pytest.approx([0.5, 1, 0.5, 2, 3, 12, 20, 8], abs=2e-3)
    shifts = np.bincount(drawn()[:, 4].astype(int) + 3)
    assert len(shifts) == 7
    assert shifts.min() > 0.85 * 5000 / 7, "each shift is as likely"


def test_each_change_is_made_with_its_probability_on_its_own():
    made = drawn(p=0.3, count=20000)[:, [0, 7]] != 0
    assert made.mean(axis=0) == pytest.approx(0.3, abs=0.02)
    assert made.all(axis=1).mean() == pytest.approx(0.09, abs=0.01)
    always = drawn(count=20000)[:, 0]
    assert np.array_equal(drawn(p=0.3, count=20000)[made[:, 0], 0], always[made[:, 0]]), "by the same numbers"


def test_colours_by_hand():
    images = torch.rand(1, *SHAPE)
    torch.testing.assert_close(changed(images, rows(brightness=0.25)), images + 0.25)
    grey = images.mean(dim=1, keepdim=True)
    torch.testing.assert_close(changed(images, rows(saturation=0.5)), (images - grey) * 1.5 + grey)
    mean = images.mean()
    torch.testing.assert_close(changed(images, rows(contrast=-0.5)), (images - mean) * 0.5 + mean)


def test_a_shift_and_a_square_by_hand():
    images = torch.rand(1, *SHAPE) + 1
    moved = changed(images, rows(down=2, right=-3))
    assert torch.equal(moved[:, :, :-2, 3:], images[:, :, 2:, :-3])
    assert not moved[:, :, -2:].any()
    assert not moved[:, :, :, :3].any()
    cut = changed(images, rows(top=-4, left=20, side=8))
    assert torch.equal(
        cut == 0, (torch.arange(16)[:, None] < 4).expand(16, 24) & (torch.arange(24) >= 20) | (cut != cut)
    )
    assert torch.equal(cut[:, :, 4:], images[:, :, 4:])


def test_the_gradient_of_a_shift_is_the_gradient_shifted_back():
    images, weights = torch.randn(1, *SHAPE, requires_grad=True), torch.randn(1, *SHAPE)
    (gradient,) = torch.autograd.grad((changed(images, rows(down=2, right=3)) * weights).sum(), images)
    assert torch.equal(gradient, changed(weights, rows(down=-2, right=-3)))


def test_every_image_has_changes_of_its_own_and_real_ones_others_than_generated_ones():
    config = tiny("gan.augment=diffaugment")
    networks = build_networks(config, (1, 16, 16), CPU)
    seen = []
    networks.discriminator.module.register_forward_hook(lambda module, given, out: seen.append(given[0].clone()))
    same = Labelled(torch.rand(1, 1, 16, 16).expand(4, -1, -1, -1))
    with networks.chance.of(Role.DEVICE_AUGMENT, 0, 1):
        discriminator_gradient(networks, same, same)
    images = torch.cat(seen)
    assert len({image.numpy().tobytes() for image in images}) == 8


def test_feedback_passes_through_the_augmentation():
    """By the chain rule: with everything that is drawn known."""
    config = tiny("gan.augment=diffaugment", "gan.discriminator_norm=none")
    networks = build_networks(config, (1, 16, 16), CPU)
    fake = generate(networks, Labelled(torch.randn(6, 8)))
    with networks.chance.of(Role.DEVICE_AUGMENT, 2, 3):
        gradient, _ = feedback(networks, fake)
    changes = draw_changes(EVERY, 1.0, 6, (1, 16, 16), stream(0, Role.DEVICE_AUGMENT, 2, 3))
    given = fake.values.clone().requires_grad_()
    networks.loss.generator(networks.logits(changed(given, torch.from_numpy(changes)))).backward()
    assert torch.equal(gradient, given.grad)


@pytest.mark.parametrize("method", ["averaged", "fedgan", "mdgan", "centralized"])
def test_an_empty_policy_is_no_augmentation_bit_for_bit(method):
    words = [f"method={method}", "device_steps=2", "mdgan.swap_epochs=null"]
    plain, empty, some = (
        play(tiny(*words, *more), [30, 30], 2).networks.generator.dump()
        for more in ([], ["gan.augment=diffaugment", "gan.augment_policy=[]"], ["gan.augment=diffaugment"])
    )
    assert np.array_equal(plain, empty)
    assert not np.array_equal(plain, some)


def test_points_are_not_augmented():
    with raises("gan.augment", "conflict", "diffaugment"):
        build_networks(tiny("gan.augment=diffaugment", "gan.generator=mlp", "gan.discriminator=mlp"), (2,), CPU)


def test_a_step_that_belongs_to_no_party_says_what_is_missing():
    networks = build_networks(tiny("gan.augment=diffaugment"), (1, 16, 16), CPU)
    images = Labelled(torch.zeros(2, 1, 16, 16))
    with raises("gan.augment", None, "raygan.methods.local.local_batches", kind=RunError):
        discriminator_gradient(networks, images, images)
