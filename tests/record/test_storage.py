"""Run folders at URIs: what is there at every moment, and what becomes of a run whose machine is lost."""

import json
import os
import shutil
import signal
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

import raygan
from raygan.cli import cli, run
from raygan.errors import Terminated
from raygan.record.checkpoint import load_newest
from raygan.record.folder import RunFolder
from raygan.record.remote import Remote
from raygan.record.storage import opened
from tests.errors import raises, refuses
from tests.helpers import TINY, Watch, same_generator, tiny


class Seen(MemoryFileSystem):
    """Files in memory that calls `before` ahead of each change; if that fails, what was to be written is torn."""

    protocol = "seen"
    store: dict = {}  # noqa: RUF012 - as in the class above
    pseudo_dirs = [""]  # noqa: RUF012
    before = staticmethod(lambda path: None)

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("seen://", "memory://"))

    def mkdir(self, path, create_parents=True, **options):
        self.before(None)
        super().mkdir(path, create_parents, **options)

    def _open(self, path, mode="rb", **options):
        if "w" in mode:
            try:
                self.before(path)
            except OSError:
                with super()._open(path, mode, **options) as file:
                    file.write(b"{")
                raise
        return super()._open(path, mode, **options)

    def cp_file(self, path1, path2, **options):
        self.before(None)
        super().cp_file(path1, path2, **options)

    def rm(self, path, *args, **options):
        self.before(None)
        super().rm(path, *args, **options)

    @classmethod
    def contents(cls):
        return {path: file.getvalue() for path, file in cls.store.items()}


fsspec.register_implementation("seen", Seen, clobber=True)


@pytest.fixture
def seen(monkeypatch):
    monkeypatch.setattr(Seen, "store", {})
    monkeypatch.setattr(Seen, "pseudo_dirs", [""])
    monkeypatch.setattr(Seen, "before", staticmethod(lambda path: None))
    return Seen


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cache):
    return raygan.train(tiny(), tmp_path_factory.mktemp("runs") / "run")


def names(folder: Path) -> set[str]:
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {name for name in found if not name.startswith(("tensorboard/", "."))}


def lose_the_machine(cache: Path) -> None:
    shutil.rmtree(cache / "runs")


def test_a_run_at_a_uri_is_there_as_it_would_be_here(finished, tmp_path):
    uri = f"file://{tmp_path}/deep/run"
    result = raygan.train(tiny(), uri + "/")
    assert result.uri == uri
    assert names(tmp_path / "deep" / "run") == names(finished.out) == names(result.out)
    assert (tmp_path / "deep" / "run" / "generator.safetensors").read_bytes() == finished.generator.read_bytes()
    assert (tmp_path / "deep" / "run" / "rounds.jsonl").read_bytes() == (result.out / "rounds.jsonl").read_bytes()
    assert not [path for path in (tmp_path / "deep" / "run").rglob("*") if path.is_dir() and not any(path.iterdir())]
    assert result.picture.exists()
    assert finished.uri is None


@pytest.mark.parametrize("scheme", ["file", "memory"])
def test_a_run_whose_machine_is_lost_goes_on_elsewhere(finished, cache, tmp_path, scheme):
    uri = f"{scheme}://{tmp_path}/run"
    watch = Watch(lambda round: os.kill(os.getpid(), signal.SIGTERM) if round == 1 else None)
    with pytest.raises(Terminated):
        raygan.train(tiny("checkpoint.every=1"), uri, watchers=[watch])
    assert raygan.open_run(uri).round < 4
    lose_the_machine(cache)
    resumed = raygan.train(tiny("checkpoint.every=1"), uri, resume=True)
    assert [row["round"] for row in resumed.rows] == [0, 1, 2, 3, 4]
    assert same_generator(resumed, finished)


def test_the_uri_counts_and_not_an_old_copy(finished, tmp_path):
    uri = f"memory://{tmp_path}/run"
    copy = raygan.train(tiny("rounds=2"), uri).out
    shutil.rmtree(copy / "checkpoints")
    (copy / "rounds.jsonl").write_text("")
    watch = Watch()
    assert same_generator(raygan.train(tiny(), uri, resume=True, watchers=[watch]), finished)
    assert "going on after round 2" in watch.phases


def test_what_is_there_can_be_resumed_at_every_moment(finished, cache, tmp_path, seen, monkeypatch):
    """Also in the middle of writing a file: then a torn one is there."""
    moments = []

    def note(path):
        moments.append(seen.contents())
        if path is not None:
            moments.append(moments[-1] | {path: b"{"})

    monkeypatch.setattr(seen, "before", staticmethod(note))
    words = ("checkpoint.every=1", "checkpoint.keep=1", "eval.every=2")
    raygan.train(tiny(*words), "seen://run")
    states, reached = {}, 0
    for number, moment in enumerate([*moments, seen.contents()]):
        folder = RunFolder(tmp_path / str(number))
        lay_out(moment, folder.root)
        start, _ = load_newest(folder.checkpoints, folder.log.last_round())
        assert (start.round if start else 0) >= reached, "what had been reached is not lost again"
        reached = start.round if start else 0
        for row in folder.log.rows():
            assert row["round"] > reached or "fd_clf" not in row or folder.picture(row["round"]).exists()
        for manifest in folder.checkpoints.glob("*/manifest.json"):
            assert len(list(manifest.parent.iterdir())) > 1, "it comes last"
        if folder.config.exists():
            states.setdefault((reached, folder.log.last_round(), folder.generator.exists()), folder.root)
    assert {start for start, *_ in states} == {0, 1, 2, 3, 4}
    monkeypatch.setattr(seen, "before", staticmethod(lambda path: None))
    for (start, *_, whole), folder in states.items():
        if not (whole and start == 4):
            assert same_generator(raygan.train(tiny(*words), f"file://{folder}", resume=True), finished)


def lay_out(contents: dict[str, bytes], folder: Path) -> None:
    for name, content in contents.items():
        path = folder / name.removeprefix("/run/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def test_only_what_has_changed_is_sent(seen, monkeypatch):
    written = []
    monkeypatch.setattr(seen, "before", staticmethod(lambda path: written.append(path) if path else None))
    raygan.train(tiny("checkpoint.every=1"), "seen://run")
    parts = [path for path in written if "/checkpoints/" in path]
    assert len(parts) == len(set(parts)), "a checkpoint once"
    assert len({path.split("/")[-2] for path in parts}) == 4
    assert sum("config.yaml" in path for path in written) == 2, "claimed, and as run"
    remote = Remote("seen://run")
    remote.pull()
    written.clear()
    remote.push()
    assert not written


def failing(after: int, times: int = 10**9):
    """For `before`: so many changes succeed, then so many fail."""
    calls = iter(range(10**9))

    def before(path):
        if after <= next(calls) < after + times:
            raise OSError("the net is down")

    return staticmethod(before)


def test_a_short_failure_is_said_and_made_up_for(finished, cache, seen, monkeypatch):
    def act(round):
        monkeypatch.setattr(seen, "before", failing(0, times=1)) if round == 1 else None

    watch = Watch(act)
    result = raygan.train(tiny("checkpoint.every=1"), "seen://run", watchers=[watch])
    assert any("seen://run: cannot be written: the net is down; trying again" in text for text in watch.phases)
    here = {f"/run/{name}" for name in names(result.out)}
    assert here <= set(seen.store)
    assert not [path for path in seen.store if "/." in path or "round_000001/" in path]


def test_a_lasting_failure_ends_the_run_and_loses_nothing(cache, seen, tmp_path, monkeypatch):
    def act(round):
        monkeypatch.setattr(seen, "before", failing(0)) if round == 2 else None

    config = tiny("checkpoint.every=1", "rounds=40", "eval.every=40")
    with raises("seen://run", "unreadable", "the net is down", kind=raygan.RunError) as failure:
        raygan.train(config, "seen://run", watchers=[Watch(act)])
    text = str(failure.value)
    assert text.count("the net is down") == 1
    kept = RunFolder(Path(text.partition("all is kept in ")[2].partition(";")[0]))
    assert 0 < kept.log.last_round() < 20, "the third failure in a row, not the last of all"
    assert "the net is down" in kept.error.read_text()
    monkeypatch.setattr(seen, "before", staticmethod(lambda path: None))
    done, watch = kept.log.last_round(), Watch()
    resumed = raygan.train(config, "seen://run", resume=True, watchers=[watch])
    assert any(f"going on from the copy on this machine, which ends at round {done} (" in one for one in watch.phases)
    (going_on,) = [text for text in watch.phases if text.startswith("going on after round ")]
    assert int(going_on.split()[-1]) >= done - 2 > 0, "little is played again"
    assert same_generator(resumed, raygan.train(config, tmp_path / "undisturbed"))
    assert not list(kept.root.parent.glob(f"{kept.root.name}?*")), "nothing is left beside the copy"


def test_a_copy_that_went_on_otherwise_is_put_aside(cache, seen, tmp_path, monkeypatch):
    """Its machine could not send, and the run went on from what had been sent on another one."""

    def act(round):
        monkeypatch.setattr(seen, "before", failing(0)) if round == 2 else None

    config = tiny("checkpoint.every=1", "rounds=12", "eval.every=12")
    with pytest.raises(raygan.RunError):
        raygan.train(config, "seen://run", watchers=[Watch(act)])
    monkeypatch.setattr(seen, "before", staticmethod(lambda path: None))
    monkeypatch.setenv("RAYGAN_CACHE", str(tmp_path / "elsewhere"))
    raygan.train(config, "seen://run", resume=True)
    monkeypatch.setenv("RAYGAN_CACHE", str(cache))
    watch = Watch()
    raygan.train(tiny("checkpoint.every=1", "rounds=13", "eval.every=12"), "seen://run", resume=True, watchers=[watch])
    (said,) = [text for text in watch.phases if "went on otherwise" in text]
    assert RunFolder(Path(said.partition("it is now in ")[2])).log.last_round() > 0


def test_who_reads_a_run_leaves_the_writers_copy_alone(cache, seen):
    seen_rows = []

    def read(round):
        if round == 3:
            seen_rows.append(len(raygan.open_run("seen://run").rows))

    result = raygan.train(tiny("checkpoint.every=1"), "seen://run", watchers=[Watch(read)])
    assert seen_rows[0] >= 1
    assert [row["round"] for row in result.rows] == [0, 1, 2, 3, 4]
    assert len(raygan.open_run("seen://run").rows) == 5


def test_a_failed_run_leaves_its_traceback_at_the_uri(tmp_path, monkeypatch):
    from raygan.evaluation.recorder import Recorder

    def full(self, round, generators):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Recorder, "export", full)
    with pytest.raises(raygan.RunError, match=f"error.txt at file://{tmp_path}/run"):
        raygan.train(tiny("rounds=2"), f"file://{tmp_path}/run")
    assert "No space left" in (tmp_path / "run" / "error.txt").read_text()


def no_folder(folder: Path) -> str:
    (folder / "file").write_text("")
    return f"file://{folder}/file/run"


def not_empty(folder: Path) -> str:
    (folder / "keep.txt").write_text("mine")
    return f"file://{folder}"


def another_run(folder: Path) -> str:
    (folder / "config.yaml").write_text("")
    return f"file://{folder}"


WRONG = [
    (["train", "--out", "nosuch://b/x"], ("nosuch://b/x", "unknown", "s3://")),
    (["train", "--out", "az://b/x"], ("az://b/x", "unreadable", "adlfs")),
    (["train", "--out", "file://b/x"], ("file://b/x", "unreadable", "hostname")),
    (["train", "--out", no_folder], ("--out", "unreadable", "file/run")),
    (["train", "--out", not_empty], ("--out", "exists")),
    (["train", "--out", another_run], ("--out", "exists", "--resume")),
    (["train", "--resume", "--out", "memory://b/x"], ("memory://b/x", "missing", "config.yaml")),
    (["train", "digits", "--resume", "--out", "memory://b/x"], ("memory://b/x", "missing", "config.yaml")),
    (["evaluate", "memory://b/x"], ("memory://b/x", "missing", "config.yaml")),
    (["compare", "memory://b/x", "--out", "x.html"], ("memory://b/x", "missing", "config.yaml")),
    (["sample", "nosuch://b/x", "--count", "1", "--out", "x.png"], ("nosuch://b/x", "unknown")),
]


@pytest.mark.parametrize(("words", "about"), WRONG)
def test_wrong_uris_are_refused_and_change_nothing(words, about, tmp_path):
    words = [word(tmp_path) if callable(word) else word for word in words]
    before = sorted(tmp_path.rglob("*"))
    with raises(*about) as caught:
        cli.main([*words, *(["engine.executor=inline"] if words[0] == "train" else [])], standalone_mode=False)
    assert str(raygan.files.cache_folder("runs")) not in str(caught.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_run_that_never_began_leaves_nothing(cache, tmp_path, seen):
    for uri in (f"file://{tmp_path}/run", "seen://run"):
        with raises("data.root", "damaged"):
            raygan.train(tiny("data.name=npz", "data.root=/no.npz"), uri)
    assert not list(tmp_path.iterdir())
    assert not seen.store


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_loaded(seen, monkeypatch):
    monkeypatch.setattr(seen, "before", failing(0))
    watch = Watch()
    with raises("--out", "unreadable", "seen://run"):
        raygan.train(tiny(), "seen://run", watchers=[watch])
    assert not watch.phases


def test_the_command_line_names_the_uri(finished, cache, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    uri = f"memory://{tmp_path}/my run"
    assert run(["train", *TINY, "rounds=2", "--out", uri]) == 0
    text = capsys.readouterr().out
    assert f"run folder: {uri}" in text
    assert Path(text.partition("open this picture: ")[2].strip()).is_file()
    lose_the_machine(cache)
    assert run(["train", "--out", uri, "--resume", "rounds=4"]) == 0
    with opened(uri, "generator.safetensors") as folder:
        assert (folder / "generator.safetensors").read_bytes() == finished.generator.read_bytes()
    refuses(["train", "--out", uri, "--resume"], "--resume", "finished", uri, "4 of 4 rounds")
    capsys.readouterr()
    assert run(["evaluate", uri]) == 0
    assert json.loads(capsys.readouterr().out)["ema"]["fd_clf"] == finished.rows[-1]["fd_clf"]
    assert run(["sample", uri, "--count", "4", "--out", "grid.png"]) == 0
    assert run(["compare", uri, str(finished.out), "--out", "page.html"]) == 0
    assert "my run" in (tmp_path / "page.csv").read_text()
    assert "data:image/png" in (tmp_path / "page.html").read_text()


def test_an_interrupted_run_says_how_to_go_on_with_the_uri(tmp_path, capsys, monkeypatch):
    import raygan.report.progress

    class Interrupting(raygan.report.progress.ProgressDisplay):
        def on_round(self, row):
            os.kill(os.getpid(), signal.SIGINT) if row["round"] == 1 else None

    monkeypatch.setattr("raygan.report.progress.ProgressDisplay", Interrupting)
    uri = f"file://{tmp_path}/my%20run"
    assert run(["train", *TINY, "--out", uri]) == 130
    assert f"raygan train --out {uri} --resume" in capsys.readouterr().out
    assert load_newest(tmp_path / "my run" / "checkpoints", 4)[0] is not None


def test_two_runs_of_the_same_name_are_told_apart_in_a_comparison(finished, tmp_path):
    places = []
    for folder in ("a", "b"):
        shutil.copytree(finished.out, tmp_path / folder / "run")
        places.append(f"file://{tmp_path}/{folder}/run")
    assert run(["compare", *places, "--out", str(tmp_path / "page.html")]) == 0
    assert {line.split(",")[0] for line in (tmp_path / "page.csv").read_text().splitlines()[1:]} == {"a/run", "b/run"}


@pytest.mark.ray
@pytest.mark.slow
def test_a_run_on_ray_whose_machine_is_lost_goes_on_elsewhere(finished, cache, cluster, tmp_path):
    uri = f"file://{tmp_path}/run"
    on_ray = ("engine.executor=ray", "checkpoint.every=1", "engine.devices_per_actor=2")
    raygan.train(tiny(*on_ray, "rounds=2"), uri)
    lose_the_machine(cache)
    resumed = raygan.train(tiny(*on_ray), uri, resume=True)
    assert same_generator(resumed, finished)
    assert names(tmp_path / "run") == names(resumed.out)
    assert len(list((tmp_path / "run" / "checkpoints").iterdir())) == tiny().checkpoint.keep
