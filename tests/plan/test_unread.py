"""Plans for data that is not there: the same as with data of that shape, and without its memory."""

import tracemalloc
from dataclasses import asdict

import numpy as np
import pytest

from raygan.cli import run
from raygan.plan.sizes import make_plan
from raygan.plan.unread import unread
from tests.errors import raises
from tests.helpers import TINY, tiny

WORDS = ["engine.executor=ray", "devices=6", "engine.devices_per_actor=2", "data.limit=null"]


def test_the_sizes_are_those_with_data_of_that_shape(tmp_path):
    random = np.random.default_rng(0)
    images, labels = random.integers(0, 256, (300, 16, 16, 3), np.uint8), np.arange(300) % 10
    np.savez(tmp_path / "a.npz", images=images, labels=labels)
    read = make_plan(tiny(*WORDS, "data.name=npz", f"data.root={tmp_path / 'a.npz'}"))
    config = tiny(*WORDS)
    planned = make_plan(config, unread("3x16x16", 300, config))
    with_data, without = (
        {name: value for name, value in asdict(plan).items() if name not in ("config", "unread", "footprint")}
        for plan in (read, planned)
    )
    sent = {"part", "far_part"}  # packed by how far a step's numbers spread
    assert planned.unread
    assert not read.unread
    for name, value in with_data.items():
        assert np.array_equal(value, without[name]), name
    exact = [
        {name: value for name, value in asdict(plan.footprint).items() if name not in sent} for plan in (read, planned)
    ]
    assert exact[0] == exact[1]
    assert 6 < planned.footprint.far_part / planned.discriminator_parameters < 11


def test_it_takes_no_memory_and_no_download():
    config = tiny("engine.executor=ray", "data.name=celeba", "data.limit=null", "data.root=/nowhere")
    tracemalloc.start()
    planned = make_plan(config, unread("3x64x64", 200_000, config))
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert planned.image_bytes == 200_000 * 3 * 64 * 64
    assert most < planned.image_bytes / 10


def test_points_and_limits():
    config = tiny("data.limit=30")
    points = unread("2", 50, config)
    assert (points.shape, len(points), points.images.dtype, len(points.classes)) == ((2,), 30, np.float32, 10)
    assert unread("1x8x8", 3, config).classes == ("0", "1", "2")


@pytest.mark.parametrize(
    ("shape", "samples", "words", "about"),
    [
        ("64x64", 9, [], ("--shape", None, "64x64", "3x64x64")),
        ("4x64x64", 9, [], ("--shape", None, "4x64x64")),
        ("3x64x0", 9, [], ("--shape", None, "3x64x0")),
        ("3x64x64x3", 9, [], ("--shape", None, "3x64x64x3")),
        ("3x64x64", 0, [], ("--samples", None, "0", "1 to 100000000")),
        ("3x64x64", 9, ["data.partition.name=natural"], ("--shape", None, "data.partition.name=natural")),
    ],
)
def test_what_is_refused(shape, samples, words, about):
    with raises(*about):
        unread(shape, samples, tiny(*words))


def test_the_command(capsys):
    words = [*TINY, "engine.executor=ray", "data.name=cifar10", "data.root=/nowhere", "--nodes", "1x8cpu"]
    assert run(["plan", *words, "--shape", "3x32x32", "--samples", "150"]) == 0
    assert "data        not read: 150 samples of shape (3, 32, 32), assumed to be of 10 equal classes" in (
        capsys.readouterr().out
    )
    assert run(["plan", *words, "--shape", "3x32x32"]) == 2
    assert capsys.readouterr().err == (
        "raygan: --shape: it and --samples need each other, such as --shape 3x64x64 --samples 50000\n"
    )
