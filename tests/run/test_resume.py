"""A run that is killed anywhere and resumed is the undisturbed one, byte for byte."""

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

import raygan
from raygan import Config, InputError, RunError, load_config
from raygan.components import METHODS
from raygan.record.folder import RunFolder
from tests.run.kills import Death, points

SMALL = [
    "engine.executor=inline",
    "batch_size=4",
    "generator_batch_size=4",
    "gan.latent=3",
    "gan.generator_width=4",
    "gan.discriminator_width=4",
    "eval.samples=8",
    "eval.grid=1",
    "eval.metrics=[frechet,classes,sliced]",
    "eval.classifier_epochs=1",
]
DATA = [  # the second draws its evaluations with matplotlib, which takes longer than the rest
    "data.name=tests.own:stripes data.options.width=3",  # 40 images
    "data.name=tests.own:stripes data.options.width=2",  # 40 images
    "data.name=gaussians data.samples=60 data.modes=3 gan.generator=mlp gan.discriminator=mlp",
]
CHOICES = {
    "method": ["averaged", *METHODS],
    "schedule": ["serial", "parallel"],
    "rounds": [1, 2, 3, 4],
    "device_steps": [1, 2],
    "generator_steps": [1, 2],
    "seed": [0, 1],
    "gan.loss": ["non_saturating", "minimax", "hinge", "least_squares", "wgan_gp"],
    "gan.generator_norm": ["batch", "group", "none", "spectral"],
    "gan.discriminator_norm": ["batch", "group", "none", "spectral"],
    "gan.ema": [0, 0.9],
    "device_optimizer.name": ["adam", "sgd"],
    "generator_optimizer.beta1": [0, 0.5],
    "generator_optimizer.lr_steps": ["[]", "[{round: 2, lr: 1e-4}]"],
    "averaged.weights": ["uniform", "shard", "batch"],
    "averaged.optimizer_state": ["keep", "reset", "average"],
    "averaged.buffers": ["average", "local", "reset"],
    "averaged.upload": ["weights", "delta"],
    "fedgan.weights": ["shard", "uniform"],
    "fedgan.optimizer_state": ["keep", "reset"],
    "fegan.weights": ["softmax", "linear", "dirac"],
    "mdgan.swap_moments": ["travel", "stay", "reset"],
    "mdgan.downlink": ["unicast", "broadcast"],
    "channel.name": ["none", "constant", "wireless"],
    "data.partition.name": ["iid", "iid", "quantity"],
    "checkpoint.every": [1, 1, 2, 3],
    "checkpoint.keep": [1, 2, 3],
    "eval.every": [1, 2, 4, 4],
}


@st.composite
def configs(draw: st.DrawFn) -> Config:
    """Real runs of a fraction of a second."""
    words = [*SMALL, *draw(st.sampled_from(DATA)).split()]
    chosen = {key: draw(st.sampled_from(values)) for key, values in CHOICES.items()}
    devices = draw(st.integers(1, 3))
    chosen["devices"] = devices
    if chosen["method"] == "fegan":
        del chosen["fedgan.weights"]
    chosen["mdgan.swap_epochs"] = draw(st.sampled_from([0.1, "null"])) if devices > 1 else "null"
    if chosen["mdgan.swap_epochs"] == "null" and chosen["gan.discriminator_norm"] != "batch":
        chosen["mdgan.feedback"] = draw(st.sampled_from(["mean", "odds", "forgiving", "adaptive"]))
    ranking = ["best_channel", "proportional_fair"] if chosen["channel.name"] != "none" else []
    chosen["selection.name"] = draw(st.sampled_from(["all", "uniform", "round_robin", "balanced", *ranking]))
    if chosen["selection.name"] != "all":
        chosen["selection.count"] = draw(st.integers(1, devices))
    return load_config(None, [*words, *(f"{key}={value}" for key, value in chosen.items())])


ASYNCHRONOUS = {
    "method": ["averaged", "fedgan"],
    "schedule": ["asynchronous"],
    "averaged.upload": ["weights"],
    "asynchronous.staleness": ["constant", "polynomial", "hinge"],
    "compute.device_spread": [2],
}


@st.composite
def with_devices_under_way(draw: st.DrawFn) -> Config:
    """Such runs of the asynchronous schedule."""
    words = [*SMALL, *draw(st.sampled_from(DATA)).split()]
    chosen = {key: draw(st.sampled_from(values)) for key, values in (CHOICES | ASYNCHRONOUS).items()}
    if chosen["averaged.optimizer_state"] != "average":
        chosen["averaged.upload"] = draw(st.sampled_from(["weights", "delta"]))
    chosen["devices"] = draw(st.integers(2, 4))
    chosen["asynchronous.buffer"] = draw(st.integers(1, 2))
    chosen["asynchronous.running"] = draw(st.integers(2, chosen["devices"]))
    return load_config(None, [*words, *(f"{key}={value}" for key, value in chosen.items())])


def go_on(config: Config, out: Path) -> None:
    """What a user does after a crash: resume, or start again where nothing had begun."""
    if not (out / "config.yaml").exists():
        shutil.rmtree(out, ignore_errors=True)
        raygan.train(config, out)
        return
    try:
        raygan.train(config, out, resume=True)
    except InputError as error:
        assert (error.key, error.code) == ("--resume", "finished")


def outcome(out: Path) -> tuple[bytes, list[dict], list[str], str]:
    """What a run comes to."""
    folder = RunFolder(out)
    rows = folder.log.rows()
    for row in rows:
        del row["wall_s"]
        row.pop("spent_s", None)
    pictures = sorted(path.name for path in folder.samples.iterdir())
    return folder.generator.read_bytes(), rows, pictures, folder.evaluation.read_text()


def killed_and_resumed_is_undisturbed(data: st.DataObject, of: st.SearchStrategy[Config]) -> None:
    config = data.draw(of, label="config")
    with tempfile.TemporaryDirectory() as root:
        undisturbed, out = Path(root) / "undisturbed", Path(root) / "run"
        with points(undisturbed) as watch:
            try:
                raygan.train(config, undisturbed)
            except (InputError, RunError):
                assume(False)  # such as a shard too small for batch normalisation
        for _ in range(data.draw(st.sampled_from([1, 1, 2]), label="deaths")):
            point = data.draw(st.sampled_from(sorted(watch.reached)), label="point")
            nth = data.draw(st.integers(1, watch.reached[point]), label="nth")
            with points(out, Death(point, nth, hard=data.draw(st.booleans(), label="hard"))):
                go_on(config, out)
        go_on(config, out)
        assert outcome(out) == outcome(undisturbed)


CASES = settings(  # without shrinking, which takes minutes
    derandomize=True, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
)


@settings(CASES, max_examples=10)
@given(st.data())
def test_killed_and_resumed_is_undisturbed(data):
    killed_and_resumed_is_undisturbed(data, configs())


@settings(CASES, max_examples=5)
@given(st.data())
def test_killed_with_devices_under_way_and_resumed_is_undisturbed(data):
    killed_and_resumed_is_undisturbed(data, with_devices_under_way())


@pytest.mark.nightly
@settings(CASES, max_examples=200)
@given(st.data())
def test_killed_anywhere_and_resumed_is_undisturbed(data):
    killed_and_resumed_is_undisturbed(data, configs() | with_devices_under_way())
