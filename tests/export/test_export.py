"""A generator as other tools read it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import ModelCard

import raygan
from raygan.cli import run
from tests.errors import refuses
from tests.helpers import Watch, tiny


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cache):
    return raygan.train(tiny("gan.generator_norm=group"), tmp_path_factory.mktemp("runs") / "run")


def exported(result, out, *words):
    assert run(["export", str(result.out), "--out", str(out), *words]) == 0
    return out


@pytest.mark.parametrize("norm", ["none", "batch", "group", "spectral"])
def test_onnx_gives_the_samples_of_torch_at_any_number_of_latents(norm, tmp_path):
    import onnxruntime

    result = raygan.train(tiny(f"gan.generator_norm={norm}", "rounds=2", "eval.every=2"), tmp_path / "run")
    out = exported(result, tmp_path / "onnx", "--to", "onnx")
    session = onnxruntime.InferenceSession(out / "generator.onnx", providers=["CPUExecutionProvider"])
    generator = result.load_generator()
    for count in (1, 3, 17):
        latents = torch.randn(count, generator.latent)
        (samples,) = session.run(None, {"latents": latents.numpy()})
        np.testing.assert_allclose(samples, generator(latents).numpy(), atol=1e-5)


def test_torchscript_needs_no_raygan(finished, tmp_path):
    out = exported(finished, tmp_path / "script", "--to", "torchscript")
    script = "import sys, torch; torch.save(torch.jit.load(sys.argv[1])(torch.load(sys.argv[2])), sys.argv[3])"
    latents = torch.randn(7, 8)
    torch.save(latents, tmp_path / "latents.pt")
    paths = [str(out / "generator.pt"), str(tmp_path / "latents.pt"), str(tmp_path / "samples.pt")]
    subprocess.run([sys.executable, "-c", script, *paths], check=True, cwd="/", capture_output=True)
    samples = torch.load(tmp_path / "samples.pt")
    assert torch.allclose(samples, finished.load_generator()(latents), atol=1e-6)


def test_safetensors_is_the_file_of_the_run(finished, tmp_path):
    out = exported(finished, tmp_path / "tensors", "--to", "safetensors")
    assert (out / "generator.safetensors").read_bytes() == finished.generator.read_bytes()
    assert raygan.load_generator(out / "generator.safetensors").round == 4


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_raw_is_the_generator_as_it_was_last(finished, tmp_path):
    out = exported(finished, tmp_path / "raw", "--to", "torchscript", "--raw")
    latents = torch.randn(5, 8)
    samples = torch.jit.load(out / "generator.pt")(latents)
    assert torch.allclose(samples, finished.load_generator("raw")(latents), atol=1e-6)
    assert not torch.allclose(samples, finished.load_generator("ema")(latents), atol=1e-4)


def test_the_hub_reads_the_card(finished, tmp_path):
    out = exported(finished, tmp_path / "card", "--to", "safetensors", "--licence", "mit")
    card = ModelCard.load(out / "README.md")
    assert card.data.license == "mit"
    assert card.data.pipeline_tag == "unconditional-image-generation"
    found = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert found["fd_clf"] == pytest.approx(finished.evaluations[-1]["fd_clf"])
    assert "200 samples of 1 x 16 x 16 of `digits`, 10 classes" in card.text
    assert "3 devices hold" in card.text
    assert "This is the moving average of the generator after round 4." in card.text
    picture = tmp_path / "samples.png"
    assert run(["sample", str(finished.out), "--count", "64", "--out", str(picture)]) == 0
    assert (out / "samples.png").read_bytes() == picture.read_bytes()


def test_the_card_of_the_raw_generator_is_of_that_one(finished, tmp_path):
    average, raw = (
        exported(finished, tmp_path / name, "--to", "torchscript", *words)
        for name, words in (("a", []), ("r", ["--raw"]))
    )
    card = ModelCard.load(raw / "README.md")
    found = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert found["fd_clf"] == pytest.approx(finished.evaluations[-1]["fd_clf_raw"])
    assert "This is the generator as it was after round 4." in card.text
    assert (raw / "samples.png").read_bytes() != (average / "samples.png").read_bytes()


def test_the_card_of_a_run_that_was_stopped_says_so_and_claims_no_measurement(tmp_path):
    def stop(round):
        if round == 3:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        raygan.train(tiny("rounds=90", "eval.every=2"), tmp_path / "run", watchers=[Watch(stop)])
    stopped = raygan.open_run(tmp_path / "run")
    text = (exported(stopped, tmp_path / "out", "--to", "safetensors") / "README.md").read_text()
    assert f"after round {stopped.round:,}; the run was stopped before its 90 rounds." in text
    assert stopped.round == 3
    assert "model-index" not in text
    assert "Measured after round 2:" in text


def test_safetensors_has_both_so_raw_is_refused(finished, tmp_path):
    refuses(["export", finished.out, "--to", "safetensors", "--raw", "--out", tmp_path / "raw"], "--raw", "conflict")


@pytest.mark.parametrize("to", ["onnx", "safetensors", "torchscript"])
def test_the_code_in_the_card_runs(to, finished, tmp_path):
    out = exported(finished, tmp_path / to, "--to", to)
    text = (out / "README.md").read_text()
    code = text.partition("```python\n")[2].partition("```")[0] + "\nprint(samples.shape == (16, 1, 16, 16))\n"
    done = subprocess.run([sys.executable, "-c", code], cwd=out, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "True"


def test_a_card_names_no_place_of_this_machine(tmp_path):
    faces = tmp_path / "me" / "faces.npz"
    faces.parent.mkdir()
    images = np.random.default_rng(0).integers(256, size=(40, 16, 16), dtype=np.uint8)
    np.savez(faces, images=images, labels=np.arange(40) % 2)
    words = ["data.name=npz", f"data.root={faces}", "rounds=1", "eval.metrics=[sliced]"]
    result = raygan.train(tiny(*words), tmp_path / "run")
    text = (exported(result, tmp_path / "out", "--to", "safetensors") / "README.md").read_text()
    assert str(tmp_path) not in text
    assert "data.root=faces.npz" in text
    assert "# A dcgan generator of faces" in text


def test_without_a_licence_none_is_claimed(finished, tmp_path):
    out = exported(finished, tmp_path / "none", "--to", "safetensors")
    assert "license" not in (out / "README.md").read_text()


def test_a_folder_in_use_is_not_written_to(finished, tmp_path):
    (tmp_path / "mine").write_text("mine")
    refuses(["export", finished.out, "--to", "safetensors", "--out", tmp_path], "--out", "exists", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_run_without_a_generator_is_refused(finished, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.yaml").write_text((finished.out / "config.yaml").read_text())
    refuses(["export", tmp_path / "run", "--to", "onnx"], "generator.safetensors", "missing")
    assert not (tmp_path / "run" / "export").exists()


def test_onnx_without_its_extra_is_one_line(finished, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    refuses(["export", finished.out, "--to", "onnx", "--out", tmp_path / "onnx"], "--to", "package", "raygan[onnx]")
    assert not Path(tmp_path / "onnx").exists()


def test_a_network_that_cannot_be_traced_is_one_line(tmp_path):
    result = raygan.train(tiny("gan.generator=tests.own:Generator", "rounds=1"), tmp_path / "run")
    words = ["export", result.out, "--to", "onnx", "--out", tmp_path / "onnx"]
    refuses(words, "generator.safetensors", "unsafe", "gan.generator=tests.own:Generator")
    exported(result, tmp_path / "again", "--to", "torchscript", "gan.generator=tests.own:Generator")
