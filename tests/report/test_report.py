import io

import numpy as np
from rich.console import Console

from raygan.report.grid import image_grid, scatter
from raygan.report.progress import ProgressDisplay, in_brief


def test_a_grid_places_images_in_rows_on_white_and_enlarges_by_a_whole_factor():
    images = np.stack([np.full((1, 2, 2), shade, np.uint8) for shade in (0, 100, 200)])
    sheet = np.asarray(image_grid(images, columns=2))
    factor = sheet.shape[0] // 7
    assert sheet.shape == (7 * factor, 7 * factor)
    small = sheet[::factor, ::factor]
    assert small.tolist() == [
        [255] * 7,
        [255, 0, 0, 255, 100, 100, 255],
        [255, 0, 0, 255, 100, 100, 255],
        [255] * 7,
        [255, 200, 200, 255, 255, 255, 255],
        [255, 200, 200, 255, 255, 255, 255],
        [255] * 7,
    ]


def test_colour_stays_colour():
    red = np.zeros((1, 3, 4, 4), np.uint8)
    red[:, 0] = 255
    picture = image_grid(red, columns=1)
    assert picture.getpixel((picture.width // 2, picture.height // 2)) == (255, 0, 0)


def test_points_are_drawn_where_they_are():
    picture = scatter(np.array([[1.0, 1.0]])).convert("RGB")
    reddish = [
        (x, y)
        for x in range(600)
        for y in range(600)
        if picture.getpixel((x, y))[1] < 120 < picture.getpixel((x, y))[0]
    ]
    x, y = np.mean(reddish, axis=0)
    assert x > 400
    assert y < 200


def test_measurements_in_words():
    assert (
        in_brief({"fd_clf": 12.34, "classes_found": 2, "class_shares": [0.5, 0.5, 0.0]}) == "FD-clf 12.3, 2/3 classes"
    )
    assert in_brief({"modes_found": 8, "high_quality": 0.925}) == "8 modes, 92% of points on them"
    assert in_brief({"fid": 3.0}) == "FID 3.0"


def test_what_else_is_measured_is_said_where_the_usual_is_not():
    about = {"round": 5, "wall_s": 1.0, "eval_samples": 50, "classifier": "abc", "phases_s": {"down": 1.0}}
    assert in_brief(about | {"sliced_wasserstein_raw": 2.0, "sliced_wasserstein": 0.25}) == (
        "sliced Wasserstein distance 0.25"
    )
    assert in_brief(about | {"sharpness": 3.5, "remark": "good"}) == "sharpness 3.5"
    assert in_brief(about) == "nothing is measured"


def watched(terminal, width=160):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=width)
    with ProgressDisplay(200, console) as display:
        display.on_phase("going on after [bold] 100")
        display.on_round({"round": 0})
        for round in (101, 102):
            traffic = {"bytes_down": 800_000, "bytes_up": 600_000, "bytes_swap": 100_000}
            display.on_round({"round": round, "sim_s": round * 2.0, "d_loss": 1.5, "g_loss": 0.5, **traffic})
        display.on_evaluation(102, {"fd_clf": 7.0, "class_shares": [0.1] * 10, "classes_found": 10})
    return console.file.getvalue()


def test_a_terminal_shows_the_round_losses_quality_and_traffic():
    text = watched(terminal=True)
    for part in ("102/200", "D 1.500 G 0.500", "FD-clf 7.0", "3 MB", "3.4 min"):
        assert part in text


def test_a_narrow_terminal_shows_the_round_what_is_left_and_quality_whole():
    text = watched(terminal=True, width=80)
    for part in ("102/200", "left", "FD-clf 7.0, 10/10 classes"):
        assert part in text
    assert "\N{HORIZONTAL ELLIPSIS}" not in text.splitlines()[-1]


def test_without_a_terminal_lines_are_printed_as_they_are():
    assert watched(terminal=False).splitlines() == ["going on after [bold] 100", "round 102: FD-clf 7.0, 10/10 classes"]
