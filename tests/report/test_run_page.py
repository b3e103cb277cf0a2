"""The page of one run, from folders made by hand."""

import json
import os
import re
import shlex

import pytest
from PIL import Image

from raygan.cli import run
from raygan.record.log import MetricsLog
from raygan.report.class_chart import class_chart
from raygan.report.grid import save_picture
from raygan.report.record import read_record
from raygan.report.run.page import write_report
from raygan.report.run.words import how_it_stands, quality_now
from tests.errors import raises, refuses
from tests.report.folders import (
    bare_run,
    draw,
    made_run,
    measured_row,
    played_row,
    rewrite,
    write_closing,
    write_data,
    write_generator,
    write_lines,
)

SCRIPT = "<script>alert(1)</script>"


def page_of(folder):
    page = write_report(folder, folder.parent / "page.html").read_text()
    return re.sub(r"<script>/\*\*.*?</script>", "", page, count=1, flags=re.DOTALL)  # less plotly itself


def words_of(page):
    """What a reader reads, on one line."""
    text = re.sub(r"<(script|style|select)\b.*?</\1>", "", page, flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", text).replace("&#34;", '"').split())


def moments_of(page):
    return json.loads(re.search(r"const \{rounds, runs, shares\} = (\{.*\});", page)[1])


def choices_of(page):
    return json.loads(re.search(r"const \{axes, measures\} = (\{.*\});", page)[1])


def test_the_page_has_all_parts_in_their_order_and_needs_nothing_else(tmp_path):
    page = page_of(made_run(tmp_path / "mine"))
    parts = ["<h1>mine</h1>", "How the samples grew", 'id="moment"', 'id="classes"', ">Quality<", 'id="quality"']
    parts += [
        ">Losses<",
        'id="losses"',
        'id="seconds"',
        'id="traffic"',
        'id="simulated-phases"',
        'id="measured-phases"',
    ]
    parts += [
        "Who took part",
        "Nearest training images",
        "Who holds what",
        'id="partition"',
        ">Settings<",
        "To play it",
    ]
    places = [page.index(part) for part in parts]
    assert places == sorted(places)
    assert not re.findall(r'(?:src|href)="(?!data:)', page), "nothing is fetched"
    assert page.count("data:image/png;base64,") == 4, "three rounds, and the nearest training images"


def test_the_head_says_what_the_run_was_and_came_to(tmp_path):
    text = words_of(page_of(made_run(tmp_path / "run", "data.partition.name=dirichlet")))
    assert "averaged, serial on digits (30 images of 8 by 8 in grey, 2 classes); dirichlet partition over" in text
    assert "over 3 devices; 10 rounds, seed 0." in text
    assert "All 10 rounds are played: 10.5 s here, 20.0 s simulated, 30 MB sent" in text
    assert "Round 10: FD-clf 20 (200 at round 0; lower is better), 2 of 2 classes found." in text
    assert "Measured with 50 generated samples, 30 real images, classifier c1a551f1e5, evaluation seed 0;" in text
    assert "FD-clf lower 200 20 (round 10) 20 10" in text, "first, best, last, last of the raw generator"
    assert "3 devices in every round; none missed one, none was left out." in text
    assert "The 2 samples of round 10 are 0.88 times as far from their nearest training image" in text
    assert "3 devices hold 10 samples each." in text
    assert "computing on cpu" in text
    assert "started by raygan train --out 'a b'" in text.replace("&#39;", "'")
    other = words_of(
        page_of(made_run(tmp_path / "other", "method=centralized", "selection.name=uniform", "selection.count=2"))
    )
    assert "centralized on digits (30 images of 8 by 8 in grey, 2 classes); all of it at the server; 10 rounds" in other


def test_what_can_be_moved_is_what_was_measured(tmp_path):
    page = page_of(made_run(tmp_path / "run"))
    moments = moments_of(page)
    assert moments["rounds"] == [0, 5, 10]
    assert moments["shares"] == {"0": [100, 0], "5": [80, 20], "10": [60, 40]}
    assert moments["runs"][0]["frames"][1]["cells"][0] == ["FD-clf", "50", "25"]
    choices = choices_of(page)
    offered = ["fd_clf", "classes_found", "round", "megabytes", "sim_s"]
    assert re.findall(r'<option value="(\w+)">', page) == offered
    assert choices["measures"]["fd_clf"] == {
        "title": "FD-clf (log)",
        "better": "lower is better",
        "log": True,
        "ticks": "D2",
        "x": {"round": [[0, 5, 10]] * 2, "megabytes": [[0, 15, 30]] * 2, "sim_s": [[0, 10, 20]] * 2},
        "y": [[200, 50, 20], [100, 25, 10]],
        "target": None,
        "floor": None,
    }
    assert choices["measures"]["classes_found"]["log"] is False


def test_a_run_that_has_only_begun_says_so(tmp_path):
    text = words_of(page_of(bare_run(tmp_path / "run")))
    assert "No round is recorded yet, of 4." in text
    assert "Nothing has been measured yet." in text
    assert "does not say who held what (it has no data.json)" in text
    for part in ("How the samples grew", "Losses", "What happened", "Nearest training images", "started by"):
        assert part not in text


def test_a_run_may_go_on_while_it_is_read(tmp_path, monkeypatch):
    folder = made_run(tmp_path / "run", values=(200.0,), played=4)
    rows = MetricsLog.rows

    def play_on(self):
        found = rows(self)
        write_lines(folder / "rounds.jsonl", [*found, played_row(5) | measured_row(50.0, 0.5)])
        draw(folder, 5)
        return found

    monkeypatch.setattr(MetricsLog, "rows", play_on)
    assert "Round 4 of 10 is the last recorded" in words_of(page_of(folder))


def test_a_run_of_an_older_version_has_a_page(tmp_path):
    folder = made_run(tmp_path / "run")
    for name in ("data.json", "evaluation.json", "environment.json"):
        (folder / name).unlink()
    page = page_of(folder)
    assert "on digits; iid partition over 3 devices" in words_of(page)
    assert 'id="classes"' in page, "the samples' classes are known, by number"
    assert 'id="partition"' not in page
    assert "Nearest training images" not in page


def test_whether_it_is_over_is_said(tmp_path):
    folder = made_run(tmp_path / "run", played=7)

    def standing():
        return how_it_stands(read_record(folder))

    assert standing().startswith(
        "Round 7 of 10 is the last recorded: the run goes on, or it was broken off: 7.5 s here"
    )
    write_generator(folder, 7)  # between two evaluations there is no evaluation.json
    assert standing().startswith("Interrupted after round 7 of 10, its state saved: 7.5 s here")
    last = "Round 5: FD-clf 50 (200 at round 0; lower is better), 2 of 2 classes found."
    assert quality_now(read_record(folder)) == last
    write_generator(folder, 5)  # it was read just before the run went on
    assert "the run goes on" in standing()
    (folder / "generator.safetensors").write_bytes(b"damaged")
    assert "the run goes on" in standing(), "nobody knows when it was written"
    (folder / "error.txt").write_text("Traceback\nRunError: the disk is full\n")
    failed = (
        "Ended by an error behind round 7 of 10, unless it was resumed since (error.txt: RunError: the disk is full)"
    )
    assert standing().startswith(failed)
    os.utime(folder / "error.txt", (0, 0))
    assert "the run goes on" in standing(), "rounds were recorded after it"


def test_who_took_part_is_drawn_where_it_changes_and_what_happened_is_listed(tmp_path):
    folder = made_run(tmp_path / "run")
    rows = [played_row(round) for round in range(11)]
    rows[3] |= {"devices": 1, "late": 1, "dropped": {"2": "its process died"}}
    rows[0] |= measured_row(200.0, 1.0)
    write_lines(folder / "rounds.jsonl", rows)
    events = [{"time": "2026-11-23T06:10:00Z", "round": 3, "what": f"device 2: {SCRIPT}"}]
    write_lines(folder / "events.jsonl", events)
    with (folder / "events.jsonl").open("a") as file:
        file.write('{"time": "half a line')
    page = page_of(folder)
    assert 'id="taking-part"' in page
    assert page.count('"late: gave up at the deadline"') == page.count('"took part, but left out"') == 1
    assert "3 2026-11-23T06:10:00Z device 2: &lt;script&gt;" in words_of(page)
    took_part, late, left_out = map(
        json.loads, re.findall(r'"line":(\{.*?\})', page.partition('id="taking-part"')[2])[:3]
    )
    assert took_part["width"] > 2 * left_out["width"], "as many left out as took part lie in the middle of them"
    assert late["dash"] != left_out["dash"]


def test_names_from_outside_are_escaped(tmp_path):
    folder = made_run(tmp_path / "a<b>run", f"gan.generator=mine:{SCRIPT}")
    write_data(folder, [[3, 7], [6, 4], [1, 9]], classes=[SCRIPT, "<b>bold</b>"])
    rows = [played_row(0) | measured_row(200.0, 1.0) | {"</script><script>alert(2)</script>": 1.0}]
    rewrite(folder, rows)
    page = page_of(folder)
    assert SCRIPT not in page
    assert "alert(2)</script>" not in page
    assert "<b>" not in page
    assert page.count("alert(1)") > 3


def test_a_users_own_metric_is_a_choice_and_what_is_no_number_is_not(tmp_path):
    folder = made_run(tmp_path / "run")
    rows = [played_row(round) for round in range(3)]
    for row, value in zip(rows, (float("nan"), 2.0, 3.0), strict=True):
        row |= measured_row(50.0, 0.5) | {"sharpness": value, "sharpness_raw": 1.0, "remark": "good", "settled": True}
    rewrite(folder, rows)
    page = page_of(folder)
    measures = choices_of(page)["measures"]
    assert measures.keys() == {"fd_clf", "classes_found", "sharpness"}
    assert (measures["sharpness"]["y"], measures["sharpness"]["better"]) == ([[2, 3], [1, 1, 1]], "")
    assert "sharpness - 2 - 3 1" in words_of(page)


@pytest.mark.parametrize("value", [None, float("nan")])
def test_what_never_came_to_a_value_is_left_out(tmp_path, value):
    folder = made_run(tmp_path / "run")
    rewrite(folder, [played_row(0) | measured_row(50.0, 0.5) | {"kd_clf": value, "mine": value}])
    assert choices_of(page_of(folder))["measures"].keys() == {"fd_clf", "classes_found"}


def test_a_mixture_has_modes_and_no_classes(tmp_path):
    folder = made_run(tmp_path / "run", "data.name=gaussians", "gan.generator=mlp", "gan.discriminator=mlp")
    modes = {"modes_found": 8, "high_quality": 0.5, "reverse_kl": 0.25, "eval_samples": 50}
    write_lines(folder / "rounds.jsonl", [played_row(0) | modes])
    for name in ("data.json", "evaluation.json"):
        (folder / name).unlink()
    page = page_of(folder)
    assert (
        "Round 0: reverse KL of the modes (nats) 0.25 (0.25 at round 0; lower is better), 8 modes found, "
        "50% of points on a mode." in words_of(page)
    )
    assert 'id="classes"' not in page
    assert list(choices_of(page)["axes"]) == ["round"], "nothing was sent, no time went by"


def test_a_long_run_is_thinned_and_says_so(tmp_path):
    folder = bare_run(tmp_path / "run", "rounds=3000")
    rows = [played_row(round) for round in range(3001)]
    rows[1234] |= {"d_loss": 77.0}
    for round in range(0, 3001, 30):
        rows[round] |= measured_row(100.0, 0.5)
        save_picture(Image.new("L", (4, 4)), folder / "samples" / f"round_{round:06d}.png")
    write_lines(folder / "rounds.jsonl", rows)
    page = page_of(folder)
    assert "Of 3,000 rounds the curves draw the lowest and the highest value of each stretch of 7.5" in words_of(page)
    rounds = moments_of(page)["rounds"]
    assert (len(rounds), rounds[0], rounds[-1]) == (60, 0, 3000)
    assert "41 more evaluated rounds are left out here." in words_of(page)
    assert len(page) < 300_000


@pytest.mark.parametrize(
    ("name", "content", "about"),
    [
        (
            "rounds.jsonl",
            '{"round": 0, "wall_s": 1, "sim_s": 0, "d_loss": "x"}\n',
            ("rounds.jsonl", "damaged", "line 1", "d_loss"),
        ),
        (
            "rounds.jsonl",
            '{"round": 0, "wall_s": 1, "sim_s": 0, "late": -1}\n',
            ("rounds.jsonl", "damaged", "line 1", "late"),
        ),
        ("data.json", "{", ("data.json", "damaged")),
        (
            "data.json",
            '{"name": "x", "samples": 0, "shape": [], "classes": [], "class_counts": [], "devices": 0, '
            '"device_class_counts": []}',
            ("data.json", "damaged", "shape"),
        ),
        ("data.json", '{"name": "x"}', ("data.json", "damaged", "samples")),
        (
            "events.jsonl",
            '{"time": "x", "round": "two", "what": "y"}\n',
            ("events.jsonl", "damaged", "line 1", "round"),
        ),
        ("evaluation.json", '{"round": 1, "ema": {}, "nearest": 3}', ("evaluation.json", "damaged", "nearest")),
        ("environment.json", "[]", ("environment.json", "damaged")),
        ("samples/round_000005.png", "no picture", ("round_000005.png", "damaged")),
        ("samples/nearest.png", "no picture", ("nearest.png", "damaged")),
        ("config.yaml", "rounds: none", ("rounds", "value", "config.yaml")),
    ],
)
def test_a_damaged_file_is_one_line_that_names_it(tmp_path, name, content, about):
    folder = made_run(tmp_path / "run")
    (folder / name).write_text(content)
    with raises(*about):
        page_of(folder)


def test_counts_that_do_not_fit_the_classes_are_refused(tmp_path):
    folder = made_run(tmp_path / "run")
    write_data(folder, [[3, 7, 1]])
    with raises("data.json", "damaged", "2 classes"):
        page_of(folder)


def test_the_command_writes_beside_the_run_or_where_it_is_told(tmp_path, capsys):
    folder = made_run(tmp_path / "my run")
    assert run(["report", str(folder)]) == 0
    assert capsys.readouterr().out.strip() == str(folder / "report.html")
    assert (folder / "report.html").is_file()
    refuses(["report", folder.as_uri()], "--out", "missing", folder.as_uri())
    assert run(["report", folder.as_uri(), "--out", str(tmp_path / "away.html")]) == 0
    assert "All 10 rounds are played" in (tmp_path / "away.html").read_text()
    write_generator(stopped := made_run(tmp_path / "stopped", played=7), 7)
    assert run(["report", stopped.as_uri(), "--out", str(tmp_path / "away.html")]) == 0
    assert "Interrupted after round 7 of 10" in (tmp_path / "away.html").read_text()
    refuses(["report", folder, "--out", tmp_path / "page.txt"], "--out", "value", "page.txt", ".html")
    refuses(["report", tmp_path], str(tmp_path), "missing", "config.yaml")
    (tmp_path / "file").write_text("")
    refuses(["report", folder, "--out", tmp_path / "file" / "page.html"], "--out", "unreadable", "page.html")


def test_the_page_says_how_to_play_it_again(tmp_path):
    page = page_of(made_run(tmp_path / "run", "data.name=folder", "data.root=/my data", "method=mine:Own"))
    line = re.search(r'<pre class="command">(.*?)</pre>', page)[1].replace("&#39;", "'")
    assert shlex.split(line)[:3] == ["raygan", "train", "method=mine:Own"]
    assert "data.root=/my data" in shlex.split(line)
    text = words_of(page)
    assert (
        "It needs own code: mine, where Python finds it (the current folder will do); the data at data.root=/my data."
        in text
    )


def resumed(folder, **changes):
    """A run measured at rounds 0, 5, 10 and 15; `changes` of what rounds 10 and 15 are measured with."""
    made_run(folder, "rounds=15", played=7)
    rows = [played_row(round) for round in range(16)]
    for round, value in ((0, 200.0), (5, 10.0), (10, 60.0), (15, 80.0)):
        rows[round] |= measured_row(value, 0.5) | {"precision_clf": 1.0 - round / 100}
        rows[round] |= changes if round > 5 else {}
    write_lines(folder / "rounds.jsonl", rows)
    return folder


def test_what_was_measured_differently_is_said_and_not_ranked_together(tmp_path):
    page = page_of(resumed(tmp_path / "run", eval_samples=30, classifier="other"))
    said = "Not all was measured alike: eval_samples changed after round 5 (from 50 to 30), classifier changed after "
    assert re.search(rf"<strong>{re.escape(said)}round 5 \(from c1a551f1e5 to other\)\. The curves mix both;", page)
    text = words_of(page)
    assert "Round 15: FD-clf 80 (60 at round 10; lower is better)" in text
    assert "FD-clf lower 60 (round 10) 60 (round 10) 80 40" in text
    assert "Not all was measured alike" not in words_of(page_of(resumed(tmp_path / "alike")))


def test_the_untrained_generator_is_not_the_best(tmp_path):
    text = words_of(page_of(resumed(tmp_path / "run")))
    assert "precision (classifier) higher 1 0.95 (round 5) 0.85 -" in text
    assert "Round 0 is the untrained generator; it is never counted as the best." in text
    assert "It was better than every round behind it by precision (classifier): training made it worse." in text
    assert "training made it worse" not in words_of(page_of(made_run(tmp_path / "good")))


@pytest.mark.parametrize("gone", [None, float("nan")])
def test_what_is_no_longer_measured_is_said_of_the_round_that_had_it_last(tmp_path, gone):
    folder = resumed(tmp_path / "run", fd_clf=gone, kd_clf=0.5, modes_found=3)
    text = words_of(page_of(folder))
    assert "Round 5: FD-clf 10 (200 at round 0; lower is better), 2 of 2 classes found." in text
    assert "FD-clf lower 200 10 (round 5) 10 5" in text, "last of both generators is of one round"


def test_a_run_that_measures_nothing_says_so(tmp_path):
    folder = made_run(tmp_path / "run", "eval.metrics=[]")
    rows = [played_row(0) | {"eval_samples": 50, "eval_seed": 0, "reference_images": 30}]
    rewrite(folder, rows)
    text = words_of(page_of(folder))
    assert "Nothing is measured (eval.metrics is empty)." in text
    assert "Measured with" not in text


def test_points_of_a_mixture_are_no_images(tmp_path):
    words = ("data.name=gaussians", "gan.generator=mlp", "gan.discriminator=mlp")
    assert "50 generated samples, 30 real points," in words_of(page_of(made_run(tmp_path / "run", *words)))


def test_a_failure_behind_the_last_round_is_said(tmp_path):
    folder = made_run(tmp_path / "run")
    (folder / "generator.safetensors").unlink()
    (folder / "error.txt").write_text("Traceback\nOSError: the disk is full\n")
    failed = "All 10 rounds are played, but the run failed behind the last, unless it was resumed since (error.txt: "
    assert how_it_stands(read_record(folder)).startswith(f"{failed}OSError: the disk is full): 10.5 s here")
    write_generator(folder, 10)
    assert how_it_stands(read_record(folder)).startswith("All 10 rounds are played: 10.5 s here")


def test_one_of_a_kind_is_no_plural_and_a_server_alone_no_device(tmp_path):
    folder = made_run(tmp_path / "run", "method=centralized")
    write_data(folder, [[1, 0]])
    text = words_of(page_of(folder))
    assert "The server alone, in every round: it has all of the data, and no device takes part." in text
    assert "device in every round" not in text
    assert "(1 image of 8 by 8 in grey, 2 classes)" in text
    assert "over 1 device; " in words_of(page_of(made_run(tmp_path / "other", "devices=1")))


def test_the_mean_over_devices_says_of_how_many(tmp_path):
    folder = made_run(tmp_path / "run")
    assert "The line is the mean of 2 of 3 devices: only the first ones are measured" in words_of(page_of(folder))
    known = {"fd_clf": [25.0, 30.0, 35.0], "mean_fd_clf": 30.0, "pooled_fd_clf": 20.0}
    write_closing(folder, devices=known)
    assert "The line is the mean" not in words_of(page_of(folder))


def test_long_class_names_are_cut_below_the_bars_and_the_legend_is_above_them(tmp_path):
    folder = made_run(tmp_path / "run")
    write_data(folder, [[3, 7], [6, 4], [1, 9]], classes=["a" * 21, "b" * 20])
    chart = class_chart(read_record(folder))
    assert f'"labelalias":{{"{"a" * 21}":"{"a" * 20}\\u2026"}}' in chart.replace("…", "\\u2026")
    assert '"legend":{"orientation":"h","y":1.02,"yanchor":"bottom"}' in chart


def test_classes_whose_long_names_begin_alike_have_their_numbers(tmp_path):
    folder = made_run(tmp_path / "run")
    names = ["short", "a" * 20 + "x", "b" * 20 + "z", "a" * 20 + "y"]
    write_data(folder, [[3, 7, 0, 1], [6, 4, 1, 0], [1, 9, 1, 1]], classes=names)
    rows = [played_row(0) | measured_row(200.0, 1.0) | {"class_shares": [0.25] * 4}]
    rewrite(folder, rows)
    aliases = re.search(r'"labelalias":(\{.*?\})', class_chart(read_record(folder)))[1]
    a, b = "a" * 20, "b" * 20
    assert json.loads(aliases) == {f"{a}x": f"1: {a}…", f"{b}z": f"{b}…", f"{a}y": f"3: {a}…"}


def test_lines_that_are_missing_are_said_and_no_page_is_made(tmp_path):
    folder = made_run(tmp_path / "run")
    lines = (folder / "rounds.jsonl").read_text().splitlines(keepends=True)
    (folder / "rounds.jsonl").write_text("".join(lines[:4]))
    with raises("rounds.jsonl", "missing", "it has 4", "evaluation.json"):
        write_report(folder, tmp_path / "page.html")
    (folder / "rounds.jsonl").unlink()
    with raises("rounds.jsonl", "missing", "it has 0"):
        write_report(folder, tmp_path / "page.html")
    assert not (tmp_path / "page.html").exists()


def test_what_measurements_mean_is_said_of_those_that_there_are(tmp_path):
    write_report(made_run(tmp_path / "run"), tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert "<dt>FD-clf</dt><dd>Frechet distance of real and generated images" in page
    assert "<dt>FID</dt>" not in page
