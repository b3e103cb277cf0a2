"""A run folder as it was after a round."""

import pytest

import raygan
from raygan.record.folder import RunFolder
from raygan.sweep.snapshot import clear, put_back, take
from tests.helpers import same_generator, tiny


@pytest.fixture(scope="module")
def finished(tmp_path_factory, cache):
    return raygan.train(tiny(), tmp_path_factory.mktemp("snapshot") / "run")


def taken(finished, round, folder):
    (to := folder / "kept").mkdir()
    take(RunFolder(finished.out), round, to)
    return to


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_it_holds_nothing_of_later_rounds(finished, tmp_path):
    kept = taken(finished, 2, tmp_path)
    for name in ("generator.safetensors", "evaluation.json"):
        (kept / name).unlink()  # of a run that is over, as this is
    assert files(kept) == [
        *(
            f"checkpoints/round_000002/{name}"
            for name in ("devices.safetensors", "manifest.json", "server.safetensors")
        ),
        *("classifier.safetensors", "config.yaml", "data.json", "environment.json", "evaluations.jsonl"),
        "rounds.jsonl",
        *("samples/round_000000.png", "samples/round_000002.png"),
    ]
    assert [row["round"] for row in RunFolder(kept).log.rows()] == [0, 1, 2]
    assert RunFolder(kept).log.rows() == RunFolder(finished.out).log.rows()[:3]


def test_a_run_that_goes_on_from_one_comes_to_the_same_bytes(finished, tmp_path):
    kept = taken(finished, 2, tmp_path)
    (kept / ".metadata.json").write_text("{}")  # Ray's
    folder = RunFolder(tmp_path / "run")
    raygan.train(tiny("seed=5", "rounds=6"), folder.root)  # of which nothing stays
    assert put_back(kept, folder) == 2
    assert files(folder.root) == [name for name in files(kept) if name != ".metadata.json"]
    resumed = raygan.train(tiny(), folder.root, resume=True)
    assert same_generator(resumed, finished)
    assert [row["round"] for row in resumed.rows] == [0, 1, 2, 3, 4]


def test_one_of_the_last_round_is_the_run(finished, tmp_path):
    kept = RunFolder(taken(finished, 4, tmp_path))
    assert kept.log.rows() == finished.rows
    assert kept.generator.read_bytes() == finished.generator.read_bytes()
    assert kept.picture(4).read_bytes() == finished.picture.read_bytes()


def test_a_cleared_folder_is_empty_and_there(finished, tmp_path):
    folder = RunFolder(taken(finished, 4, tmp_path))
    clear(folder)
    assert list(folder.root.iterdir()) == []
