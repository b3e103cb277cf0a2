"""What trackers are given of a run, offline; and that a run needs none of them."""

import json

import pytest

import raygan
from raygan.record.folder import RunFolder
from raygan.tracking import tracking
from raygan.tracking.sink import Sink
from raygan.tracking.tracking import Tracking
from tests.errors import raises
from tests.helpers import Watch, tiny

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # the trackers' own


class Told(Sink):
    """Keeps what it is told; raises at the `fails`-th time."""

    def __init__(self, fails=0):
        self.said, self.fails = [], fails

    def _note(self, *what):
        self.said.append(what)
        if len(self.said) == self.fails:
            raise ConnectionError("no server\nand more")

    def metrics(self, values, round):
        self._note("metrics", round, values)

    def picture(self, path, round):
        self._note("picture", round, path.name)

    def file(self, path):
        self._note("file", path.name)

    def close(self, status):
        self._note("close", status)


def test_what_a_sink_is_told(tmp_path):
    folder, sink = RunFolder(tmp_path), Told()
    (tmp_path / "config.yaml").write_text("seed: 0\n")
    (tmp_path / "samples").mkdir()
    folder.picture(2).write_bytes(b"")
    watcher = Tracking(folder, [("told", sink)], print)
    watcher.on_round({"round": 2, "wall_s": 1.0, "sim_s": 3.0, "d_loss": 0.5, "dropped": {}, "phases_s": {"down": 1}})
    watcher.on_evaluation(2, {"fd_clf": 9.0, "classifier": "abc", "classes_found": 3})
    watcher.close("stopped")
    assert sink.said == [
        ("metrics", 2, {"sim_s": 3.0, "d_loss": 0.5}),
        ("metrics", 2, {"fd_clf": 9.0, "classes_found": 3.0}),
        ("picture", 2, "round_000002.png"),
        ("file", "config.yaml"),
        ("close", "stopped"),
    ]


def test_one_that_fails_is_told_of_once_and_the_others_go_on(tmp_path):
    fails, lasts, said = Told(fails=2), Told(), []
    watcher = Tracking(RunFolder(tmp_path), [("fails", fails), ("lasts", lasts)], said.append)
    for round in range(5):
        watcher.on_round({"round": round, "d_loss": 1.0})
    watcher.close("finished")
    assert said == ["track: fails failed, and the run goes on without it: ConnectionError: no server"]
    assert (len(fails.said), len(lasts.said)) == (2, 6)


@pytest.fixture
def mlflow_here(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path / 'mlflow.db'}")
    monkeypatch.chdir(tmp_path)  # where it puts artifacts
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    return mlflow.MlflowClient()


def test_mlflow_has_config_metrics_grids_and_generator_and_a_resumed_run_goes_on_there(mlflow_here, tmp_path):
    raygan.train(tiny("track=[mlflow,tensorboard]", "rounds=2"), tmp_path / "run")
    result = raygan.train(tiny("track=mlflow"), tmp_path / "run", resume=True)
    group = mlflow_here.get_experiment_by_name("raygan")
    (run,) = mlflow_here.search_runs([group.experiment_id])
    assert run.info.run_name == "run"
    assert run.info.status == "FINISHED"
    assert run.data.params["gan.latent"] == "8"
    assert sorted({one.step for one in mlflow_here.get_metric_history(run.info.run_id, "d_loss")}) == [1, 2, 3, 4]
    measured = {one.step: one.value for one in mlflow_here.get_metric_history(run.info.run_id, "fd_clf")}
    assert measured == {row["round"]: pytest.approx(row["fd_clf"]) for row in result.evaluations}
    files = {file.path for file in mlflow_here.list_artifacts(run.info.run_id)}
    assert {"samples", "generator.safetensors", "config.yaml", "evaluation.json"} <= files
    pictures = {file.path for file in mlflow_here.list_artifacts(run.info.run_id, "samples")}
    assert "samples/round_000004.png" in pictures


def test_wandb_offline_writes_into_the_run_folder_and_a_resumed_run_keeps_its_id(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    raygan.train(tiny("track=wandb", "rounds=2"), tmp_path / "run")
    raygan.train(tiny("track=wandb"), tmp_path / "run", resume=True)
    run = json.loads((tmp_path / "run" / "tracking.json").read_text())["wandb"]
    folders = [path for path in (tmp_path / "run" / "wandb").glob("offline-run-*") if path.is_dir()]
    assert {path.name.rpartition("-")[2] for path in folders} == {run}
    stored = b"".join(file.read_bytes() for folder in folders for file in folder.glob("*.wandb"))
    for expected in (b"fd_clf", b"d_loss", b"gan.latent", b"generator.safetensors"):
        assert expected in stored
    assert any(path.name.endswith(".png") for folder in folders for path in folder.rglob("*.png"))
    assert not (tmp_path / "run" / "tensorboard").exists()


def test_a_tracker_that_cannot_begin_does_not_end_a_run(tmp_path, monkeypatch):
    monkeypatch.setitem(tracking._SINKS, "mlflow", "tests.tracking.test_tracking:refuses")
    watch = Watch()
    result = raygan.train(tiny("track=mlflow", "rounds=2"), tmp_path / "run", watchers=[watch])
    assert result.complete
    assert "track: mlflow cannot begin, and the run goes on without it: ConnectionError: no server" in watch.phases


def refuses(folder, experiment):
    raise ConnectionError("no server")


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_a_missing_package_is_one_line_and_nothing_is_left(name, tmp_path, monkeypatch):
    monkeypatch.setattr(tracking, "find_spec", lambda name: None)
    with raises("track", "package", f"raygan[{name}]"):
        raygan.train(tiny(f"track={name}"), tmp_path / "run")
    assert not (tmp_path / "run").exists()
