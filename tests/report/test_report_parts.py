"""Parts of the pages: thinning, pictures, partitions, settings, words."""

import base64
import io
import re
import shlex

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from raygan.config import load_config
from raygan.record.folder import RunFolder
from raygan.report.comparison.settings import changes, command, differing
from raygan.report.content import DataFacts, Nearest, OfDevices
from raygan.report.frames import load_frame, run_frames
from raygan.report.grid import image_grid, save_picture, scatter
from raygan.report.partition_chart import partition_chart
from raygan.report.quality_chart import CurveLine, quality_chart
from raygan.report.run.words import nearest_in_words, shards_in_words
from raygan.report.thinning import STRETCHES, thinned, thinning_note


def test_thinning_keeps_the_ends_and_every_columns_extremes():
    random = np.random.default_rng(0)
    table = pd.DataFrame({"x": random.normal(size=50_000), "y": random.normal(size=50_000)})
    table.loc[[7, 33_333], "x"] = [99.0, -99.0]
    table.loc[44_444, "y"] = np.nan
    table.loc[5_000:9_000, "y"] = np.nan
    table.loc[12_345, "y"] = np.inf
    few = thinned(table, ["x", "y"])
    assert {0, 7, 33_333, 49_999} <= set(few.index)
    assert len(few) <= 4 * STRETCHES + 2
    assert few.index.is_monotonic_increasing
    stretch = table.iloc[:125]
    assert {stretch["x"].idxmin(), stretch["y"].idxmax()} <= set(few.index)
    assert "each stretch of 125" in thinning_note(50_000, "rounds")
    assert thinned(table.iloc[: 2 * STRETCHES], ["x"]).equals(table.iloc[: 2 * STRETCHES])
    assert thinning_note(2 * STRETCHES, "rounds") == ""


def pixels_of(source):
    with Image.open(io.BytesIO(base64.b64decode(source.partition(",")[2]))) as image:
        return np.asarray(image)


@pytest.mark.parametrize("channels", [1, 3])
def test_a_grid_is_embedded_as_small_as_it_was_before_it_was_enlarged(tmp_path, channels):
    images = np.random.default_rng(0).integers(0, 256, (4, channels, 8, 8), dtype=np.uint8)
    save_picture(image_grid(images, 2), tmp_path / "grid.png")
    picture = load_frame(tmp_path / "grid.png")
    small = pixels_of(picture.source)
    assert small.shape[:2] == (19, 19)
    factor = np.asarray(image_grid(images, 2)).shape[0] // 19
    assert np.array_equal(small.repeat(factor, 0).repeat(factor, 1), np.asarray(image_grid(images, 2)))
    assert (picture.width % 19, picture.pixelated) == (0, True)


def test_a_plot_of_points_keeps_its_size(tmp_path):
    save_picture(scatter(np.zeros((5, 2))), tmp_path / "points.png")
    picture = load_frame(tmp_path / "points.png")
    assert pixels_of(picture.source).shape == (600, 600)
    assert not picture.pixelated


def test_many_pictures_are_thinned_and_those_that_are_gone_are_left_out(tmp_path):
    folder = RunFolder(tmp_path)
    for round in range(100):
        if round != 50:
            save_picture(Image.new("L", (4, 4), round), folder.picture(round))
    run = run_frames(folder, list(range(100)), 10, "run", [], lambda round: [[str(round)]])
    rounds = [frame.round for frame in run.frames]
    assert (len(rounds), rounds[0], rounds[-1]) == (10, 0, 99)
    assert set(np.diff(rounds)) <= {10, 11, 12}
    assert [pixels_of(frame.source)[0, 0] for frame in run.frames] == rounds
    assert run_frames(folder, [50], 10, "run", [], lambda round: []) is None


def facts(counts, classes, devices=None):
    return DataFacts(
        name="x",
        samples=int(np.sum(counts)),
        shape=[2],
        classes=classes,
        class_counts=np.sum(counts, axis=0).tolist(),
        devices=devices or len(counts),
        device_class_counts=np.asarray(counts).tolist(),
    )


def kinds_in(chart):
    """The kinds of a chart's traces, and how they are drawn; what follows them is plotly's own."""
    return re.findall(r'"(?:type|shape)":"(\w+)"', re.split(r"\],\s*\{\"template", chart)[0])


def test_few_devices_are_bars_many_or_many_classes_a_heat_map():
    assert kinds_in(partition_chart(facts([[3, 7], [6, 4]], ["a", "b"]), None)) == ["bar", "bar"]
    assert kinds_in(partition_chart(facts([[3, 7]] * 61, ["a", "b"]), None)) == ["heatmap"]
    assert kinds_in(partition_chart(facts([[1] * 30] * 2, [str(n) for n in range(30)]), None)) == ["heatmap"]
    assert kinds_in(partition_chart(facts([[5]] * 61, ["all"]), None)) == ["hvh", "scatter"]


def test_distances_of_devices_stand_below_with_their_mean():
    distances = OfDevices(fd_clf=[5.0, None], mean_fd_clf=5.0, pooled_fd_clf=4.0)
    chart = partition_chart(facts([[3, 7], [6, 4]], ["a", "b"]), distances)
    assert "mean of 1 of 2 devices: 5" in chart
    assert "against all data: 4" in chart
    many = partition_chart(facts([[3, 7], [6, 4]], ["a", "b"], devices=4000), distances)
    assert "mean of 1 of 4,000 devices: 5" in many
    all_known = distances.model_copy(update={"fd_clf": [4.0, 6.0]})
    assert '"mean: 5"' in partition_chart(facts([[3, 7], [6, 4]], ["a", "b"]), all_known)
    unknown = OfDevices(fd_clf=[None, None], mean_fd_clf=None, pooled_fd_clf=4.0)
    assert "mean" not in partition_chart(facts([[3, 7], [6, 4]], ["a", "b"]), unknown)


def test_shards_in_words():
    assert shards_in_words(facts([[1, 0]], ["a", "b"])) == "1 device holds 1 sample."
    assert shards_in_words(facts([[3, 7], [6, 5]], ["a", "b"])) == "2 devices hold 10 to 11 samples each."
    assert shards_in_words(facts([[5, 5]], ["a", "b"], devices=4000)).endswith("(the first 1 of 4,000).")


@pytest.mark.parametrize(
    ("ratio", "said"), [(0.97, "nothing here points to copies"), (0.6, "look at the rows"), (0.1, "as copies are")]
)
def test_what_distances_to_training_images_say(ratio, said):
    nearest = Nearest(distances=[1.0], real_median=1.0, ratio_median=ratio, samples=1, neighbours=3)
    assert f"{ratio:.2f} times as far" in nearest_in_words(nearest, 7)
    assert said in nearest_in_words(nearest, 7)
    assert "exact copy" in nearest_in_words(nearest.model_copy(update={"real_median": 0.0, "ratio_median": None}), 7)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["data.name=gaussians", "gan.generator=mlp", "gan.discriminator=mlp"],
        ["data.partition.name=dirichlet", "data.partition.alpha=1e-05", "method=mdgan", "mdgan.swap_epochs=null"],
        ["channel.name=wireless", "selection.name=best_channel", "selection.count=2", "selection.deadline_s=0.5"],
        ["generator_optimizer.name=sgd", "generator_optimizer.lr_steps=[{round: 401, lr: 1e-4}]"],
        ["devices=2", "compute.device_flops=[1e9, 2e9]", "channel.name=constant", "channel.uplink_bps=1e6"],
        ["data.name=my.own:load", "data.root=/a b/it's", "data.options={a: 'on', b: '1', c: true, d: 'x: y #'}"],
        ["data.name=mnist", "data.root='12'", "selection.name=m:S", "gan.options={e: 1.0}"],
    ],
)
def test_the_command_plays_the_same_config(words):
    config = load_config(None, words)
    program, train, *again, out, _ = shlex.split(command(config))
    assert (program, train, out) == ("raygan", "train", "--out")
    assert load_config(None, again) == config
    assert {change.key for change in changes(config)} == {word.partition("=")[0] for word in words}


def test_changes_have_their_defaults_and_differences_a_value_per_run():
    config = load_config(
        None, ["channel.name=wireless", "channel.radius_m=200", "selection.name=uniform", "selection.count=2"]
    )
    assert [(change.key, change.value, change.usual) for change in changes(config)] == [
        ("channel.name", "wireless", "none"),
        ("channel.radius_m", 200.0, "500.0"),
        ("selection.name", "uniform", "all"),
        ("selection.count", 2, "-"),
    ]
    other = load_config(None, ["selection.name=uniform", "selection.count=3"])
    differences = differing({"a": config, "b": other})
    assert differences["selection.count"] == ["2", "3"]
    assert differences["channel.radius_m"] == ["200.0", "-"]
    assert "rounds" not in differences


@pytest.mark.parametrize(
    ("values", "goal", "log"),
    [([1.0, 100.0], None, True), ([1.0, 100.0], -0.5, False), ([-1.0, 100.0], None, False), ([0.0, 9.0], None, False)],
)
def test_an_axis_is_logarithmic_only_where_all_on_it_is_above_zero(values, goal, log):
    rounds = range(len(values))
    curve = pd.DataFrame({"round": rounds, "megabytes": 0.0, "sim_s": 0.0, "kd_clf": values})
    line = CurveLine("run", "red", "solid", curve, {})
    _, choices = quality_chart([line], ["kd_clf"], None if goal is None else ("kd_clf", goal))
    assert choices["measures"]["kd_clf"]["log"] is log
