"""raygan from Python: what one has in a notebook."""

import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch

import raygan
from tests.errors import raises
from tests.helpers import tiny


@pytest.fixture(scope="module")
def result(tmp_path_factory, cache):
    return raygan.train(tiny(), tmp_path_factory.mktemp("python") / "run", watchers=[])


def test_metrics_are_a_table_by_round(result):
    table = result.metrics
    assert table.index.tolist() == [0, 1, 2, 3, 4]
    assert table.index.name == "round"
    assert table["fd_clf"].notna().tolist() == [True, False, True, False, True]
    assert table["d_loss"].dtype == float


def test_samples_are_pixels_and_the_same_for_a_seed(result):
    samples = result.samples(6)
    assert (samples.shape, samples.dtype) == ((6, 16, 16), np.uint8)
    assert np.array_equal(samples, result.samples(6, seed=0)), "the run's seed"
    assert not np.array_equal(samples, result.samples(6, seed=1))
    assert np.array_equal(result.samples(4), samples[:4])


def test_a_grid_is_the_newest_picture_again(result):
    from PIL import Image

    assert np.array_equal(np.asarray(result.grid(100)), np.asarray(Image.open(result.picture)))


def test_a_run_can_be_opened_again(result, tmp_path):
    again = raygan.open_run(str(result.out))
    assert (again.round, again.out) == (result.round, result.out)
    assert again.metrics.equals(result.metrics)
    with raises(str(tmp_path), "missing", "config.yaml"):
        raygan.open_run(tmp_path)
    at_uri = raygan.open_run(f"file://{result.out}")
    assert (at_uri.uri, at_uri.round) == (f"file://{result.out}", 4)
    assert at_uri.metrics.equals(result.metrics)
    shutil.copytree(result.out, tmp_path / "bare")
    shutil.rmtree(tmp_path / "bare" / "samples")
    assert raygan.open_run(tmp_path / "bare").evaluations == result.evaluations != []
    shutil.copytree(result.out, tmp_path / "damaged")
    (tmp_path / "damaged" / "rounds.jsonl").write_text("{}\n")
    with raises("rounds.jsonl", "damaged"):
        raygan.open_run(tmp_path / "damaged")
    (tmp_path / "damaged" / "rounds.jsonl").unlink()
    assert raygan.open_run(tmp_path / "damaged").metrics.empty


def test_a_loaded_generator_is_a_module_ready_to_use(result):
    generator = raygan.load_generator(result.generator)
    assert isinstance(generator, torch.nn.Module)
    assert (generator.latent, generator.shape, generator.round) == (8, (1, 16, 16), 4)
    images = generator(torch.randn(3, generator.latent))
    assert images.shape == (3, 1, 16, 16)
    assert images.abs().max() <= 1
    assert not images.requires_grad
    assert not generator.training
    assert torch.equal(generator.sample(5, seed=2), generator.sample(5, seed=2))
    raw = raygan.load_generator(result.out, weights="raw")
    assert not torch.equal(raw.sample(2), generator.sample(2))
    again = raygan.load_generator(result.out)
    again.load_state_dict(raw.state_dict())
    assert torch.equal(again.sample(2), raw.sample(2))
    at_uri = raygan.load_generator(f"file://{result.out}")
    assert torch.equal(at_uri.sample(2), generator.sample(2))
    with raises("nothing", "missing", "generator.safetensors"):
        raygan.load_generator(result.out / "nothing")
    with raises("weights", "unknown", "'mean'"):
        raygan.load_generator(result.out, weights="mean")
    for none in (result.samples, result.grid, generator.sample):
        with raises("count", "value", "0 samples", "1"):
            none(0)


def test_a_generator_needs_torch_and_nothing_heavier(result):
    code = f"import sys, raygan; raygan.load_generator({str(result.out)!r}).sample(2); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"ray", "torchvision", "torchmetrics", "matplotlib", "sklearn", "pandas", "plotly", "tensorboardX"}
    assert not heavy & set(done.stdout.split())


def test_points_are_an_array_too(tmp_path):
    mixture = tiny("data.name=gaussians", "gan.generator=mlp", "gan.discriminator=mlp", "rounds=1")
    result = raygan.train(mixture, tmp_path / "run", watchers=[])
    assert result.samples(7).shape == (7, 2)
    assert result.grid(7).size == (600, 600)


def test_a_presets_name_and_a_files_path_will_do_and_progress_is_shown(tmp_path, monkeypatch, capsys):
    from raygan.config import dump_config

    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.yaml").write_text(dump_config(tiny("rounds=1")))
    result = raygan.train("mine.yaml")
    assert result.out.parent.name == "runs"
    assert result.out.name.startswith("mine-averaged-")
    said = capsys.readouterr().out
    assert "loading digits" in said
    assert "round 1: FD-clf" in said
    with raises("digitz", "unknown"):
        raygan.train("digitz")
