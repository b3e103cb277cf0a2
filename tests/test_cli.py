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
from raygan.record.storage import local_folder
from tests.helpers import TINY


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
    (["train", "divices=3"], "divices: unknown key; did you mean devices?"),
    (["train", "engine.exector=ray"], "did you mean engine.executor?"),
    (["train", "devices=two"], "devices: input should be a valid integer"),
    (["train", "devices=-1"], "devices: input should be greater than or equal to 0"),
    (["train", "rounds=0"], "rounds: input should be greater than or equal to 1"),
    (["train", "batch_size=1.5"], "batch_size: input should be a valid integer"),
    (["train", "schedule=paralel"], "schedule: input should be 'serial' or 'parallel'"),
    (["train", "method=fedgun"], "method: 'fedgun' is not known"),
    (["train", "gan.loss=wgan"], "gan.loss: 'wgan' is not known; did you mean wgan_gp?"),
    (["train", "gan.generator=no.such:Net"], "gan.generator: cannot import 'no.such:Net'"),
    (["train", "gan.generator=tests.own:not_a_network"], "gan.generator: tests.own:not_a_network is a function"),
    (["train", "gan.discriminator=tests.own:Fails"], "gan.discriminator: fails on a batch of shape (32, 1, 16, 16)"),
    (["train", "gan.discriminator=tests.own:NotBuilt"], "gan.discriminator: tests.own:NotBuilt cannot be built"),
    (["train", "gan.discriminator=tests.own:Generator"], "gan.discriminator: "),
    (["train", "gan.generator_norm=layer"], "gan.generator_norm: input should be"),
    (["train", "generator_optimizer.lr=0"], "generator_optimizer.lr: input should be greater than 0"),
    (["train", "data.name=imagenet"], "data.name: 'imagenet' is not known"),
    (["train", "data.name=gaussians", "engine.executor=ray"], "gan.generator: dcgan makes square images"),
    (["train", "data.size=48"], "data.size: input should be 16, 28, 32, 64, 128 or 256"),
    (["train", "data.name=folder", "data.root=/no/such/place"], "data.root: /no/such/place is neither a folder"),
    (["train", "data.name=folder"], "data.root: field required"),
    (["train", "data.name=folder", corrupt_image], "1.png: not a readable image"),
    (["train", "data.name=folder", empty_class], "dogs holds no images"),
    (["train", "data.name=npz", "data.root=/no.npz"], "data.root: /no.npz is not a readable .npz file"),
    (["train", "devices=2000"], "devices: 2,000 devices for 1,797 samples; at most 1797 fit"),
    (["train", "data.partition.name=classes", "devices=2"], "at least 5 devices fit"),
    (["train", "data.partition.alpha=1"], "only data.partition.name=dirichlet"),
    (["train", "eval.inception_weights=/no/weights.pth"], "eval.inception_weights: /no/weights.pth cannot be read"),
    (
        ["train", "devices=1797", "gan.discriminator_norm=batch", "gan.generator=mlp", "gan.discriminator=mlp"],
        "fails on a batch of shape (1, ",
    ),
    (["train", "gan.loss=tests.own:halves"], "gan.loss: tests.own:halves is a function"),
    (["train", "method=tests.own:halves"], "method: tests.own:halves is a function"),
    (["train", "method=mdgan", "devices=1"], "mdgan.swap_epochs: discriminators can only change places between two"),
    (["train", "method=mdgan", "mdgan.batches=0"], "mdgan.batches: input should be greater than or equal to 1"),
    (["train", "method=mdgan", "mdgan.batches=6"], "mdgan.batches: 6 is more than devices=5 can judge"),
    (
        ["train", "method=mdgan", "aggregation.name=trimmed_mean"],
        "aggregation.trim: 1 at either end leaves nothing of the 2 devices that judge a batch; lower it, or mdgan.bat",
    ),
    (["train", "mdgan.swap_moments=keep"], "mdgan.swap_moments: input should be 'travel', 'stay' or 'reset'"),
    (["train", "selection.name=uniform"], "selection.count: field required"),
    (["train", "selection.name=uniform", "selection.count=6"], "selection.count: 6 is more than devices=5"),
    (["train", "selection.name=best_chanel"], "'best_chanel' is not known; did you mean best_channel?"),
    (["train", "selection.count=2"], "selection.count: unknown key; only selection.name=uniform"),
    (["train", "selection.name=best_channel", "selection.count=1"], "best_channel ranks devices by their links; set"),
    (["train", "selection.name=tests.own:halves"], "selection.name: tests.own:halves is a function, but a class"),
    (["train", "selection.name=tests.own:Twice"], "chose [1, 1] in round 1; different devices from 0 to 4 are needed"),
    (["train", "selection.deadline_s=0"], "selection.deadline_s: input should be greater than 0"),
    (["train", "channel.name=tests.own:halves"], "channel.name: tests.own:halves is a function, but a class"),
    (["train", "channel.name=tests.own:Fails"], "channel.name: tests.own:Fails is a type, but a class derived from"),
    (["train", "channel.name=constant", "channel.uplink_bps=-1"], "channel.uplink_bps.0: input should be greater than"),
    (["train", "channel.name=constant", "channel.uplink_bps=[1e6,1e6]"], "channel.uplink_bps: 2 values for devices=5"),
    (["train", "channel.name=wireless", "channel.radius_m=10"], "min_distance_m=35 must be below radius_m=10"),
    (["train", "aggregation.name=krum"], "aggregation.name: 'krum' is not known; known: mean, median, trimmed_mean"),
    (["train", "aggregation.name=tests.own:halves"], "aggregation.name: tests.own:halves is a function, but a class"),
    (["train", "aggregation.trim=1"], "aggregation.trim: unknown key; only aggregation.name=trimmed_mean has it"),
    (
        ["train", "aggregation.name=trimmed_mean", "aggregation.trim=3"],
        "aggregation.trim: 3 at either end leaves nothing of the 5 devices of a round; at most 2",
    ),
    (["train", "aggregation.name=clipped_mean", "aggregation.max_norm=0"], "aggregation.max_norm: input should be gre"),
    (["train", "engine.on_bad_update=ignore"], "engine.on_bad_update: input should be 'stop' or 'drop'"),
    (["train", "engine.on_device_failure=stop"], "engine.on_device_failure: input should be 'replay' or 'drop'"),
    (["train", "channel.bits_per_parameter=0"], "channel.bits_per_parameter: input should be greater than or equal"),
    (
        ["train", "compute.device_flops=[1e9, 0, 1e9, 1e9, 1e9]"],
        "compute.device_flops.1: input should be greater than 0",
    ),
    (["train", "compute.device_flops=[]"], "compute.device_flops: 0 values for devices=5; give one, or one per device"),
    (["train", "compute.device_spread=-1"], "compute.device_spread: input should be greater than or equal to 0"),
    (
        ["train", "gan.loss=tests.own:fails"],
        "gan.loss: tests.own:fails: discriminator failed: RuntimeError: on purpose (",
    ),
    (
        ["train", "channel.name=tests.own:FastLinks"],
        "channel.name: tests.own:FastLinks.uplink in round 1 failed: KeyError: 'bps' (",
    ),
    (["train", "channel.name=wireless", "channel.device_power_dbm=-5000"], "wireless gave the rates [0.0, 0.0"),
    (["train", "channel.name=tests.own:ListLinks"], "ListLinks gave the qualities [-1"),
    (["compare", "nowhere", "--out", "page.csv"], "--out: page.csv is to be a page; name it with the ending .html"),
    (["compare", "nowhere", "--out", "page.html"], "not a run folder"),
    (["evaluate", "nowhere", "gan.latent=9"], "gan.latent=9: only eval.* keys"),
    (["train", "nosuchpreset"], "nosuchpreset: neither a .yaml file nor a preset"),
    (["train", "missing.yaml"], "missing.yaml: cannot be read as a config file"),
    (["train", "devices=3", "digits"], "digits: not of the form key=value"),
    (["train", "--out", full], "exists and is not empty"),
    (["train", "--out", not_writable], "cannot be written"),
    (["train", "--resume"], "--resume: say which run with --out DIR"),
    (["train", "--resume", "--out", "nowhere"], "nowhere: not a run folder (it has no config.yaml)"),
    (["train", "--ot", "x"], "No such option '--ot'. Did you mean '--out'?"),
    (["train", "--batch-size", "9"], "--batch-size: config keys are set without dashes: batch_size=VALUE"),
    (["trian"], "No such command 'trian'. Did you mean 'train'?"),
    (["evaluate", "nowhere"], "nowhere: not a run folder"),
    (["sample", "nowhere", "--count", "4", "--out", "x.png"], "nowhere: not a run folder"),
    (["sample", "nowhere", "--count", "0", "--out", "x.png"], "Invalid value for '--count'"),
    (["sample", "nowhere"], "Missing option '--count'"),
    (["plan", "devices=0"], "devices: 0 is for data.partition.name=natural alone"),
    (["plan", "--nodes", "8xA10"], "--nodes 8xA10: 'A10' is no known GPU; did you mean A10G?"),
    (["plan", "--nodes", "1x8cpu", "engine.executor=inline"], "--nodes: engine.executor=inline plays a run in one pro"),
    (
        ["plan", "--nodes", "8xA10G", "devices=64", "engine.gpus_per_device=0.12"],
        "65 CPU were asked for (64 device actors, server and evaluation), but these 8 Ray nodes (8 of 8 CPU + 1 GPU) ",
    ),
    (["plan", "--nodes", "1x8cpu:2GB"], "engine: node 1 would need about 3.9 GB of memory, but has 1.9 GB to give"),
    (
        ["plan", "--nodes", "1x8cpu:0.005GB-store"],
        "engine: node 1 would need about 0.0065 GB of object store, but has 0",
    ),
    (
        ["plan", "--nodes", "1xT4:12cpu:1GB-gpu", "engine.gpus_per_device=0.2"],
        "the 5 actors on one GPU of node 1 would take about 1.5 GB of it, 0.29 GB each before any tensor, but it has 1",
    ),
    (
        ["plan", "--nodes", "1xT4:12cpu:0.01GB-gpu", "engine.gpus_per_device=0.2"],
        "engine.gpus_per_device=0.2: that is 0.002 GB of a GPU with 0.01 GB, but about 0.0058 GB of tensors would be",
    ),
    (["tune"], "say which sweep: a YAML file, such as tune_configs/schedules.yaml"),
    (["tune", "nosuchsweep"], "nosuchsweep: no such sweep file"),
    (["tune", "rounds=3"], "say which sweep: a YAML file"),
    (["tune", "--resume"], "--resume: say which sweep with --out DIR"),
    (["tune", "--resume", "--out", "nowhere"], "nowhere: not a sweep's folder (it has no sweep.yaml)"),
    (["tune", TINY_SWEEP, "--out", full], "exists and is not empty; name another folder"),
    (["tune", TINY_SWEEP, "--out", "s3://bucket/x"], "--out: s3://bucket/x is a URI, but a sweep needs a folder"),
    (["tune", TINY_SWEEP, "--resume", "--out", "nowhere"], "nowhere holds no sweep that had begun; start it without"),
    (["tune", TINY_SWEEP, "sampels=3"], "tiny.yaml: sampels: unknown key"),
    (["tune", TINY_SWEEP, TINY_SWEEP], "not of the form key=value"),
]


@pytest.mark.parametrize(("words", "message"), WRONG, ids=lambda value: value if isinstance(value, str) else "")
def test_wrong_input_is_one_line_and_status_2(words, message, tmp_path, capsys, monkeypatch):
    inputs, work = tmp_path / "inputs", tmp_path / "work"
    inputs.mkdir()
    work.mkdir()
    monkeypatch.chdir(work)
    words = [word(inputs) if callable(word) else word for word in words]
    if words[0] == "train" and not any(word.startswith("engine.executor") for word in words):
        words.insert(len(words) - (words[-1] == "digits"), "engine.executor=inline")
    before = sorted(path.relative_to(inputs) for path in inputs.rglob("*"))
    assert run(words) == 2
    captured = capsys.readouterr()
    assert message in captured.err
    assert captured.err.count("\n") == 1
    assert "Traceback" not in captured.err
    assert sorted(path.relative_to(inputs) for path in inputs.rglob("*")) == before
    assert not [path for path in work.rglob("*") if path.is_file()]


COMMAND = [sys.executable, "-m", "raygan.cli"]


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
    before = descendants(process.pid)
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
    before = descendants(process.pid)
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


def descendants(pid: int) -> list[int]:
    import psutil

    return [child.pid for child in psutil.Process(pid).children(recursive=True)]


@pytest.mark.parametrize("words", [["train"], ["tune", TINY_SWEEP]], ids=["train", "tune"])
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


@pytest.mark.nightly
def test_a_ray_that_cannot_be_started_is_one_line(tmp_path):
    """Sockets have paths of 107 bytes at most, and Ray puts them below its folder."""
    deep = tmp_path / ("x" * 90)
    deep.mkdir()
    words = [*TINY, "engine.executor=ray", "--out", str(tmp_path / "run")]
    done = subprocess.run(
        [*COMMAND, "train", *words], capture_output=True, text=True, env={**os.environ, "RAY_TMPDIR": str(deep)}
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith(
        "raygan: engine.executor: the path of Ray's temporary folder is too long for its sockets; "
    )
    assert "set RAY_TMPDIR to a short folder" in done.stderr
    assert not (tmp_path / "run").exists()


def test_an_address_that_is_wrong_is_named_by_where_it_comes_from(tmp_path):
    command = [*COMMAND, "train", *TINY, "engine.executor=ray", "--out", str(tmp_path / "run")]
    environment = os.environ | {"RAY_ADDRESS": "127.0.0.1:1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2
    assert "raygan: $RAY_ADDRESS: no Ray cluster at '127.0.0.1:1'" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_temporary_folder_whose_path_is_too_long_for_sockets_is_named(tmp_path):
    command = [*COMMAND, "train", *TINY, "engine.executor=ray", "--out", str(tmp_path / "run")]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    environment["RAY_TMPDIR"] = str(tmp_path / ("long" * 25))
    Path(environment["RAY_TMPDIR"]).mkdir()
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 2
    assert "too long for its sockets; set RAY_TMPDIR to a short folder" in done.stderr
    assert done.stderr.count("\n") == 1


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
