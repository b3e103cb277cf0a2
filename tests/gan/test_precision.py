"""Products in bfloat16: near float32, with float32 around them."""

import numpy as np
import pytest
import torch

import raygan
from raygan.gan.conditions import Labelled
from raygan.gan.networks import build_networks
from raygan.gan.steps import discriminator_gradient, generate
from tests.errors import raises
from tests.helpers import tiny
from tests.methods.parties import play

CPU = torch.device("cpu")


@pytest.mark.parametrize("loss", ["non_saturating", "wgan_gp"])
def test_bfloat16_is_float32_to_two_digits(loss):
    torch.manual_seed(0)
    latents, real = Labelled(torch.randn(8, 8)), Labelled(torch.rand(8, 1, 16, 16) * 2 - 1)
    mix = torch.rand(8) if loss == "wgan_gp" else None
    seen = {}
    for precision in ("float32", "bfloat16"):
        networks = build_networks(tiny(f"gan.precision={precision}", f"gan.loss={loss}"), (1, 16, 16), CPU)
        fake = generate(networks, latents)
        discriminator_gradient(networks, real, fake, mix)
        seen[precision] = fake.values, networks.discriminator.gradient.clone()
    for full, half in zip(*seen.values(), strict=True):
        assert half.dtype == torch.float32
        assert 1e-4 < (half - full).norm() / full.norm() < 0.1


def test_a_run_in_bfloat16_is_another_and_its_networks_are_float32(tmp_path):
    runs = {one: raygan.train(tiny(f"gan.precision={one}"), tmp_path / one) for one in ("float32", "bfloat16")}
    files = {one: (run.out / "generator.safetensors").read_bytes() for one, run in runs.items()}
    assert files["float32"] != files["bfloat16"]
    sizes = [len(file) for file in files.values()]
    assert abs(sizes[0] - sizes[1]) <= 8, "only the word in the header differs, which is padded to multiples of 8"


@pytest.mark.parametrize("method", ["averaged", "fedgan", "mdgan", "centralized"])
def test_every_method_trains_in_bfloat16(method):
    full, half = (
        play(tiny(f"method={method}", "devices=2", f"gan.precision={one}"), [30, 30], 2).networks.generator.dump()
        for one in ("float32", "bfloat16")
    )
    assert half.dtype == np.float32
    assert 0 < np.abs(half - full).max() < 0.1


def test_tf32_is_of_gpus():
    with raises("gan.precision", "conflict", "tf32"):
        tiny("gan.precision=tf32")
    assert tiny("gan.precision=tf32", "engine.server_gpus=0.5").gan.precision == "tf32"
