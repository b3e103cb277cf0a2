"""The command line, as a user meets it."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raygan.cli import run
from raygan.record.folder import RunFolder
from raygan.record.remote import local_folder
from tests.errors import refuses
from tests.helpers import TINY
from tests.processes import descendants


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cache):
    out = tmp_path_factory.mktemp("cli") / "run"
    assert run(["train", *TINY, "--out", str(out)]) == 0
    return out


def test_train_says_which_picture_to_open(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["train", "digits", *TINY]) == 0
    text = capsys.readouterr().out
    assert "open this picture: runs/digits-averaged-" in text
    assert "FD-clf" in text


def test_train_takes_a_file_and_overrides(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("rounds: 1\ndevices: 2\n")
    out = tmp_path / "run"
    assert run(["train", str(path), *[word for word in TINY if not word.startswith(("rounds", "devices"))],
                "--out", str(out)]) == 0  # fmt: skip
    assert len((out / "rounds.jsonl").read_text().splitlines()) == 2


def test_plan_starts_nothing_and_counts(capsys):
    assert run(["plan", "devices=7", "engine.devices_per_actor=3"]) == 0
    text = capsys.readouterr().out
    assert "3 device actors" in text
    assert "1797 samples" in text
    assert "generator 99,008" in text
    assert "GB in all, beside Ray's own processes (0.33 GB a node)" in text


def test_plan_says_what_goes_where(capsys):
    words = ["plan", "devices=16", "engine.gpus_per_device=0.25", "--nodes", "1x1cpu", "--nodes", "2x2xT4:8cpu"]
    assert run(words) == 0
    text = capsys.readouterr().out
    assert "3 nodes as described, 1x1cpu:4GB + 2x2xT4:8cpu:32GB:16GB-gpu; spread: 16 device actors on 2 nodes" in text
    assert "1 node      node 1 (1 CPU): driver, recorder, server\n" in text
    assert "2 nodes     node 2 and 1 more (2 x T4, 8 CPU): 8 device actors each, 4 on each of 2 GPUs\n" in text
    assert "the fullest GPU 1.18 GB of 16.0 GB" in text


@pytest.mark.parametrize("share", ["engine.gpus_per_device=0.1", "engine.server_gpus=0.1", "devices=4"])
def test_plan_says_when_gpus_are_there_for_nothing(share, capsys):
    assert run(["plan", share, "--nodes", "1x8cpu", "--nodes", "2xT4"]) == 0
    assert ("GPUs        none is used" in capsys.readouterr().out) is (share == "devices=4")


def test_plan_says_what_there_is_before_it_refuses(capsys):
    assert run(["plan", "devices=20", "--nodes", "1x1cpu", "--nodes", "2x8cpu"]) == 2
    assert "2 nodes     8 CPU: room for 8 device actors each, no more\n" in capsys.readouterr().out


def test_a_picture_is_a_png_and_named_so(finished, tmp_path, capsys):
    assert run(["sample", str(finished), "--count", "4", "--out", str(tmp_path / "x.jpg")]) == 2
    assert "x.jpg is to be a picture; name it with the ending .png" in capsys.readouterr().err
    assert not any(tmp_path.iterdir())


def test_evaluate_measures_again(finished, capsys):
    assert run(["evaluate", str(finished)]) == 0
    measured = json.loads(capsys.readouterr().out)
    last = RunFolder(finished).log.rows()[-1]
    assert measured["ema"]["fd_clf"] == last["fd_clf"]
    assert measured["raw"]["fd_clf"] == last["fd_clf_raw"]
    assert run(["evaluate", str(finished), "eval.samples=70"]) == 0
    assert json.loads(capsys.readouterr().out)["eval_samples"] == 70


def test_sample_draws_as_many_as_asked(finished, tmp_path):
    pictures = []
    for extra in ([], ["--raw"]):
        out = tmp_path / f"{len(extra)}.png"
        assert run(["sample", str(finished), "--count", "7", "--out", str(out), *extra]) == 0
        with Image.open(out) as picture:
            pictures.append(np.asarray(picture))
    assert not np.array_equal(*pictures)


def test_resume_without_a_config_uses_the_runs_own(finished, tmp_path):
    out = tmp_path / "run"
    assert run(["train", *TINY, "rounds=2", "--out", str(out)]) == 0
    assert run(["train", "--out", str(out), "--resume", "rounds=4"]) == 0
    assert (out / "generator.safetensors").read_bytes() == (finished / "generator.safetensors").read_bytes()


def corrupt_image(folder: Path) -> str:
    (folder / "set" / "cats").mkdir(parents=True)
    (folder / "set" / "cats" / "1.png").write_bytes(b"no")
    return f"data.root={folder / 'set'}"


def empty_class(folder: Path) -> str:
    (folder / "set" / "dogs").mkdir(parents=True)
    (folder / "set" / "cats").mkdir()
    Image.new("RGB", (8, 8)).save(folder / "set" / "cats" / "1.png")
    return f"data.root={folder / 'set'}"


def full(folder: Path) -> str:
    (folder / "keep.txt").write_text("mine")
    return str(folder)


def not_writable(folder: Path) -> str:
    (folder / "file").write_text("")
    return str(folder / "file" / "run")


TINY_SWEEP = str(Path(__file__).parents[1] / "tune_configs" / "tiny.yaml")
WRONG = [
    (["train", "divices=3"], ("divices", "unknown", "devices")),
    (["train", "engine.exector=ray"], ("engine.exector", "unknown", "engine.executor")),
    (["train", "devices=two"], ("devices", "value")),
    (["train", "devices=-1"], ("devices", "value", "0")),
    (["train", "rounds=0"], ("rounds", "value", "1")),
    (["train", "batch_size=1.5"], ("batch_size", "value")),
    (["train", "schedule=paralel"], ("schedule", "value", "'serial'", "'parallel'")),
    (["train", "method=fedgun"], ("method", "unknown", "'fedgun'")),
    (["train", "gan.loss=wgan"], ("gan.loss", "unknown", "'wgan'", "wgan_gp")),
    (["train", "gan.generator=no.such:Net"], ("gan.generator", "import", "'no.such:Net'")),
    (["train", "gan.generator=tests.own:not_a_network"], ("gan.generator", "kind", "tests.own:not_a_network")),
    (["train", "gan.discriminator=tests.own:Fails"], ("gan.discriminator", "failed", "(32, 1, 16, 16)")),
    (["train", "gan.discriminator=tests.own:NotBuilt"], ("gan.discriminator", "failed", "tests.own:NotBuilt")),
    (["train", "gan.discriminator=tests.own:Generator"], ("gan.discriminator", "failed")),
    (["train", "gan.generator_norm=layer"], ("gan.generator_norm", "value")),
    (["train", "generator_optimizer.lr=0"], ("generator_optimizer.lr", "value", "0")),
    (["train", "data.name=imagenet"], ("data.name", "unknown", "'imagenet'")),
    (["train", "data.name=gaussians", "engine.executor=ray"], ("gan.generator", "conflict")),
    (["train", "data.size=48"], ("data.size", "value", "16, 28, 32, 64, 128 or 256")),
    (["train", "data.name=folder", "data.root=/no/such/place"], ("data.root", "missing", "/no/such/place")),
    (["train", "data.name=folder"], ("data.root", "missing")),
    (["train", "data.name=folder", corrupt_image], ("1.png", "damaged")),
    (["train", "data.name=folder", empty_class], ("data.root", "empty", "dogs")),
    (["train", "data.name=npz", "data.root=/no.npz"], ("data.root", "damaged", "/no.npz")),
    (["train", "devices=2000"], ("devices", "few", "2,000 devices", "1,797 samples", "at most 1797")),
    (["train", "data.partition.name=classes", "devices=2"], ("devices", "few", "at least 5 devices")),
    (["train", "data.partition.alpha=1"], ("data.partition.alpha", "unknown", "data.partition.name=dirichlet")),
    (["train", "eval.inception_weights=/no/weights.pth"], ("eval.inception_weights", "unreadable", "/no/weights.pth")),
    (
        ["train", "devices=1797", "gan.discriminator_norm=batch", "gan.generator=mlp", "gan.discriminator=mlp"],
        ("gan.generator", "failed", "(1, 64)"),
    ),
    (["train", "gan.loss=tests.own:halves"], ("gan.loss", "kind", "tests.own:halves")),
    (["train", "method=tests.own:halves"], ("method", "kind", "tests.own:halves")),
    (["train", "method=mdgan", "devices=1"], ("mdgan.swap_epochs", "conflict")),
    (["train", "method=mdgan", "mdgan.batches=0"], ("mdgan.batches", "value", "1")),
    (["train", "method=mdgan", "mdgan.batches=6"], ("mdgan.batches", "conflict", "devices=5")),
    (
        ["train", "method=mdgan", "aggregation.name=trimmed_mean"],
        ("aggregation.trim", "conflict", "2 devices", "mdgan.batches"),
    ),
    (["train", "mdgan.swap_moments=keep"], ("mdgan.swap_moments", "value", "'travel'", "'stay'", "'reset'")),
    (["train", "selection.name=uniform"], ("selection.count", "missing")),
    (["train", "selection.name=uniform", "selection.count=6"], ("selection.count", "conflict", "devices=5")),
    (["train", "selection.name=best_chanel"], ("selection.name", "unknown", "'best_chanel'", "best_channel")),
    (["train", "selection.count=2"], ("selection.count", "unknown", "selection.name=uniform")),
    (["train", "selection.name=best_channel", "selection.count=1"], ("selection.name", "conflict", "best_channel")),
    (["train", "selection.name=tests.own:halves"], ("selection.name", "kind", "tests.own:halves")),
    (["train", "selection.name=tests.own:Twice"], ("selection.name", "result", "[1, 1]", "0 to 4")),
    (["train", "selection.deadline_s=0"], ("selection.deadline_s", "value", "0")),
    (["train", "channel.name=tests.own:halves"], ("channel.name", "kind", "tests.own:halves")),
    (["train", "channel.name=tests.own:Fails"], ("channel.name", "kind", "tests.own:Fails")),
    (["train", "channel.name=constant", "channel.uplink_bps=-1"], ("channel.uplink_bps.0", "value")),
    (
        ["train", "channel.name=constant", "channel.uplink_bps=[1e6,1e6]"],
        ("channel.uplink_bps", "conflict", "2 values", "devices=5"),
    ),
    (
        ["train", "channel.name=wireless", "channel.radius_m=10"],
        ("channel", "conflict", "min_distance_m=35", "radius_m=10"),
    ),
    (["train", "aggregation.name=krum"], ("aggregation.name", "unknown", "'krum'", "trimmed_mean")),
    (["train", "aggregation.name=tests.own:halves"], ("aggregation.name", "kind", "tests.own:halves")),
    (["train", "aggregation.trim=1"], ("aggregation.trim", "unknown", "aggregation.name=trimmed_mean")),
    (
        ["train", "aggregation.name=trimmed_mean", "aggregation.trim=3"],
        ("aggregation.trim", "conflict", "5 devices", "at most 2"),
    ),
    (["train", "aggregation.name=clipped_mean", "aggregation.max_norm=0"], ("aggregation.max_norm", "value")),
    (["train", "engine.on_bad_update=ignore"], ("engine.on_bad_update", "value", "'stop'", "'drop'")),
    (["train", "engine.on_device_failure=stop"], ("engine.on_device_failure", "value", "'replay'", "'drop'")),
    (["train", "channel.bits_per_parameter=0"], ("channel.bits_per_parameter", "value")),
    (
        ["train", "compute.device_flops=[1e9, 0, 1e9, 1e9, 1e9]"],
        ("compute.device_flops.1", "value", "0"),
    ),
    (["train", "compute.device_flops=[]"], ("compute.device_flops", "conflict", "0 values", "devices=5")),
    (["train", "compute.device_spread=-1"], ("compute.device_spread", "value", "0")),
    (
        ["train", "gan.loss=tests.own:fails"],
        ("gan.loss", "failed", "tests.own:fails: discriminator", "RuntimeError: on purpose"),
    ),
    (
        ["train", "channel.name=tests.own:FastLinks"],
        ("channel.name", "failed", "tests.own:FastLinks.uplink", "round 1", "KeyError: 'bps'"),
    ),
    (
        ["train", "channel.name=wireless", "channel.device_power_dbm=-5000"],
        ("channel.name", "result", "wireless", "[0.0, 0.0, 0.0, 0.0, 0.0]"),
    ),
    (["train", "channel.name=tests.own:ListLinks"], ("channel.name", "result", "tests.own:ListLinks", "[-1")),
    (["compare", "nowhere", "--out", "page.csv"], ("--out", "value", "page.csv", ".html")),
    (["compare", "nowhere", "--out", "page.html"], ("nowhere", "missing")),
    (["evaluate", "nowhere", "gan.latent=9"], ("gan.latent", "value")),
    (["train", "nosuchpreset"], ("nosuchpreset", "unknown")),
    (["train", "missing.yaml"], ("missing.yaml", "unreadable")),
    (["train", "devices=3", "digits"], ("digits", "value")),
    (["train", "--out", full], ("--out", "exists")),
    (["train", "--out", not_writable], ("--out", "unreadable")),
    (["train", "--resume"], ("--resume", "missing")),
    (["train", "--resume", "--out", "nowhere"], ("nowhere", "missing", "config.yaml")),
    (["evaluate", "nowhere"], ("nowhere", "missing")),
    (["sample", "nowhere", "--count", "4", "--out", "x.png"], ("nowhere", "missing")),
    (["plan", "devices=0"], ("devices", "conflict", "data.partition.name=natural")),
    (["plan", "--nodes", "8xA10"], ("--nodes", None, "8xA10", "'A10'", "A10G")),
    (["plan", "--nodes", "1x8cpu", "engine.executor=inline"], ("--nodes", None, "engine.executor=inline")),
    (
        ["plan", "--nodes", "8xA10G", "devices=64", "engine.gpus_per_device=0.12"],
        ("engine", "resources", "65 CPU", "64 device actors", "8 of 8 CPU + 1 GPU"),
    ),
    (["plan", "--nodes", "1x8cpu:2GB"], ("engine", "resources", "node 1", "2.0 GB of memory", "1.9 GB")),
    (
        ["plan", "--nodes", "1x8cpu:0.005GB-store"],
        ("engine", "resources", "node 1", "0.0065 GB of object store"),
    ),
    (
        ["plan", "--nodes", "1xT4:12cpu:1GB-gpu", "engine.gpus_per_device=0.2"],
        ("engine", "resources", "5 actors on one GPU of node 1", "1.5 GB", "0.29 GB"),
    ),
    (
        ["plan", "--nodes", "1xT4:12cpu:0.01GB-gpu", "engine.gpus_per_device=0.2"],
        ("engine.gpus_per_device", "resources", "0.002 GB", "0.01 GB", "0.0059 GB"),
    ),
    (["tune"], ("SWEEP", "missing", "tune_configs/schedules.yaml")),
    (["tune", "nosuchsweep"], ("nosuchsweep", "missing")),
    (["tune", "rounds=3"], ("SWEEP", "missing")),
    (["tune", "--resume"], ("--resume", "missing")),
    (["tune", "--resume", "--out", "nowhere"], ("nowhere", "missing", "sweep.yaml")),
    (["tune", TINY_SWEEP, "--out", full], ("--out", "exists")),
    (["tune", TINY_SWEEP, "--out", "s3://bucket/x"], ("--out", "value", "s3://bucket/x")),
    (["tune", TINY_SWEEP, "--resume", "--out", "nowhere"], ("--resume", "missing")),
    (["tune", TINY_SWEEP, "sampels=3"], ("sampels", "unknown", "tiny.yaml")),
    (["tune", TINY_SWEEP, TINY_SWEEP], ("tiny.yaml", "value")),
]


@pytest.mark.parametrize(("words", "about"), WRONG)
def test_wrong_input_is_refused_before_anything_begins(words, about, tmp_path, monkeypatch):
    inputs, work = tmp_path / "inputs", tmp_path / "work"
    inputs.mkdir()
    work.mkdir()
    monkeypatch.chdir(work)
    words = [word(inputs) if callable(word) else word for word in words]
    if words[0] == "train" and not any(word.startswith("engine.executor") for word in words):
        words.insert(len(words) - (words[-1] == "digits"), "engine.executor=inline")
    before = sorted(path.relative_to(inputs) for path in inputs.rglob("*"))
    refuses(words, *about)
    assert sorted(path.relative_to(inputs) for path in inputs.rglob("*")) == before
    assert not [path for path in work.rglob("*") if path.is_file()]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["train", "divices=3"], "divices: unknown key; did you mean devices?"),
        (["train", "devices=-1"], "devices: input should be greater than or equal to 0, got -1"),
        (["train", "gan.loss=wgan"], "gan.loss: 'wgan' is not known; did you mean wgan_gp?"),
        (["train", "devices=2000"], "devices: 2,000 devices for 1,797 samples; at most 1797 fit"),
        (["train", "--resume"], "--resume: say which run with --out DIR"),
        (["evaluate", "nowhere"], "nowhere: not a run folder (it has no config.yaml)"),
        (["train", "--ot", "x"], "No such option '--ot'. Did you mean '--out'?"),
        (["train", "--batch-size", "9"], "--batch-size: config keys are set without dashes: batch_size=VALUE"),
        (["trian"], "No such command 'trian'. Did you mean 'train'?"),
        (["sample", "nowhere", "--count", "0", "--out", "x.png"], "Invalid value for '--count'"),
        (["sample", "nowhere"], "Missing option '--count'"),
    ],
)
def test_each_kind_of_wrong_input_is_one_line_and_status_2(words, line, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(words) == 2
    said = capsys.readouterr().err
    assert said.startswith("raygan: ")
    assert line in said
    assert said.count("\n") == 1
    assert not any(tmp_path.iterdir())


COMMAND = [sys.executable, "-m", "raygan.cli"]


@pytest.mark.slow
@pytest.mark.ray
def test_ctrl_c_saves_says_how_to_go_on_and_leaves_no_process(tmp_path):
    out = tmp_path / "run"
    words = [*TINY, "engine.executor=ray", "rounds=100000", "devices=2"]
    process = subprocess.Popen(
        [*COMMAND, "train", *words, "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    metrics = out / "rounds.jsonl"
    deadline = time.monotonic() + 300
    while not (metrics.exists() and metrics.read_text().count("\n") > 3):
        assert time.monotonic() < deadline
        assert process.poll() is None
        time.sleep(0.2)
    before = [one.pid for one in descendants(process.pid)]
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process in its group
    text, errors = process.communicate(timeout=200)
    assert (process.returncode, errors) == (130, "")
    assert f"raygan train --out {out} --resume" in text.replace("\n", " ")
    assert "stopping after round" in text
    last = json.loads(metrics.read_text().splitlines()[-1])["round"]
    assert (out / "checkpoints" / f"round_{last:06d}" / "manifest.json").exists()
    assert f"stopped after round {last} by SIGINT" in (out / "events.jsonl").read_text()
    assert before
    time.sleep(1)
    assert not [pid for pid in before if Path(f"/proc/{pid}").exists()]


@pytest.mark.slow
@pytest.mark.parametrize("executor", ["inline", pytest.param("ray", marks=pytest.mark.ray)])
def test_a_second_ctrl_c_leaves_at_once_and_the_last_checkpoint_is_intact(executor, tmp_path):
    words = [*TINY, f"engine.executor={executor}", "devices=2", "checkpoint.every=1", "eval.every=1000"]
    words += ["method=tests.own:sleeps"]
    process = subprocess.Popen(
        [*COMMAND, "train", *words, "rounds=1000", "--out", str(tmp_path / "run")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env=os.environ | {"OWN_SLEEP": "2"},  # so that both come within a round
    )
    wait_for(lambda: sorted((tmp_path / "run" / "checkpoints").glob("round_*/manifest.json")), process)
    before = [one.pid for one in descendants(process.pid)]
    os.killpg(process.pid, signal.SIGINT)
    time.sleep(1.2)  # Ray looks for signals once a second
    os.killpg(process.pid, signal.SIGINT)
    text, errors = process.communicate(timeout=60)
    assert (process.returncode, errors.strip()) == (130, "raygan: interrupted")
    assert "Interrupted at once; the last checkpoint is intact. Go on with:" in text
    wait_for(lambda: not [pid for pid in before if Path(f"/proc/{pid}").exists()])
    saved = max(int(path.name[6:]) for path in (tmp_path / "run" / "checkpoints").glob("round_*"))
    end = f"rounds={saved + 2}"
    assert run(["train", "--out", str(tmp_path / "run"), "--resume", end, "engine.executor=inline"]) == 0
    assert not list((tmp_path / "run").rglob(".*")), "what was half written when all was killed is gone"
    assert run(["train", *words, end, "engine.executor=inline", "--out", str(tmp_path / "undisturbed")]) == 0
    resumed, undisturbed = (tmp_path / name / "generator.safetensors" for name in ("run", "undisturbed"))
    assert resumed.read_bytes() == undisturbed.read_bytes()


def wait_for(condition, process=None):
    deadline = time.monotonic() + 300
    while not condition():
        assert time.monotonic() < deadline
        assert process is None or process.poll() is None
        time.sleep(0.05)


@pytest.mark.parametrize(
    "words", [["train"], pytest.param(["tune", TINY_SWEEP], marks=pytest.mark.slow)], ids=["train", "tune"]
)
def test_an_address_where_no_ray_listens_is_one_line_and_status_2(words, tmp_path):
    words = [*words, "engine.address=127.0.0.1:1", "--out", str(tmp_path / "run")]
    done = subprocess.run([*COMMAND, *words], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "engine.address: no Ray cluster at '127.0.0.1:1'" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("module", ["raygan", "raygan.cli"])
def test_module_and_command_agree(module):
    command = [sys.executable, "-m", module, "--version"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0
    assert "raygan" in done.stdout


@pytest.mark.slow
def test_an_address_that_is_wrong_is_named_by_where_it_comes_from(tmp_path):
    command = [*COMMAND, "train", *TINY, "engine.executor=ray", "--out", str(tmp_path / "run")]
    environment = os.environ | {"RAY_ADDRESS": "127.0.0.1:1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2
    assert "raygan: $RAY_ADDRESS: no Ray cluster at '127.0.0.1:1'" in done.stderr
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_temporary_folder_whose_path_is_too_long_for_sockets_is_named(tmp_path):
    """Sockets have paths of 107 bytes at most, and Ray puts them below its folder."""
    command = [*COMMAND, "train", *TINY, "engine.executor=ray", "--out", str(tmp_path / "run")]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    environment["RAY_TMPDIR"] = str(tmp_path / ("long" * 25))
    Path(environment["RAY_TMPDIR"]).mkdir()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("raygan: engine.executor: ")
    assert "set RAY_TMPDIR to a short folder" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("kept", "resume", "said"),
    [
        ([], False, ""),
        (["config.yaml"], False, "Interrupted at once; no checkpoint had been saved."),
        (
            ["config.yaml", "checkpoints/round_000001/manifest.json"],
            False,
            "the last checkpoint is intact. Go on with:",
        ),
        ([], True, "Interrupted at once; what is at the URI is as it was. Go on with:"),
    ],
)
def test_an_interrupted_run_at_a_uri_promises_what_is_there(kept, resume, said, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("RAYGAN_CACHE", str(tmp_path / "cache"))
    uri = f"file://{tmp_path}/run"

    def interrupted(config, out, **how):
        for name in kept:
            path = local_folder(out) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        raise KeyboardInterrupt

    monkeypatch.setattr("raygan.run.train.train", interrupted)
    assert run(["train", "digits", "--out", uri, *(["--resume"] if resume else [])]) == 130
    told = capsys.readouterr().out
    assert said in told
    assert bool(said) == bool(told.strip())
    assert ("--resume" in told) == ("Go on" in said)
