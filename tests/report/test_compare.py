"""The comparison page and its tables, on made and on real runs."""

import json
import re

import pandas as pd
import pytest

import raygan
from raygan import InputError
from raygan.cli import run
from raygan.config import dump_config
from raygan.report.comparison.page import compare
from tests.helpers import tiny


def made(folder, values, *words, seconds=1.0, **evaluated):
    """A run folder of rounds 0, 10, 20, ... with the metric's `values`, each round 3 MB and some simulated seconds."""
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(dump_config(tiny(*words)))
    rows = []
    for round in range(10 * (len(values) - 1) + 1):
        row = {"round": round, "wall_s": 1.0, "sim_s": round * seconds}
        if round:
            row |= {"bytes_up": 1_000_000, "bytes_down": 1_500_000, "bytes_swap": 500_000, "phases_s": {"down": 1}}
        if round % 10 == 0:
            row |= {"fd_clf": values[round // 10], "eval_samples": 50, "classifier": "abc"} | evaluated
        rows.append(row)
    (folder / "rounds.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_the_cost_of_a_target_is_where_the_curve_first_comes_down_to_it(tmp_path):
    fast = made(tmp_path / "fast", [100.0, 30.0, 35.0, 20.0])
    slow = made(tmp_path / "slow", [100.0, 80.0, 40.0, 30.0], "method=fedgan", seconds=2.0)
    done = compare([fast, slow], tmp_path / "out" / "page.html")
    table = pd.read_csv(done.table).set_index("run")
    assert done.table.name == "page.csv"
    # the lowest that both have reached is 30
    assert table.loc["fast", ["rounds to target", "MB to target", "simulated s to target"]].tolist() == [10, 30, 10]
    assert table.loc["slow", ["rounds to target", "MB to target", "simulated s to target"]].tolist() == [30, 90, 60]
    assert table.loc["slow", ["method", "last fd_clf", "best fd_clf"]].tolist() == ["fedgan", 30, 30]
    curves = pd.read_csv(done.curves)
    assert curves.groupby("run")["megabytes"].max().to_dict() == {"fast": 90, "slow": 90}
    halfway = pd.read_csv(compare([fast], tmp_path / "page.html", target=65.0).table)
    assert halfway["rounds to target"].tolist() == [5]
    early = compare([fast], tmp_path / "page.html", target=500)
    assert pd.read_csv(early.table)["rounds to target"].tolist() == [0]
    assert "fast: at the target before any training" in early.text
    stricter = compare([fast, slow], tmp_path / "page.html", target=20.0)
    assert "not reached" in stricter.text
    assert "None" not in compare([slow], tmp_path / "page.html", target=1.0).text
    assert "not reached" in stricter.page.read_text()


def test_real_runs_make_one_page_that_needs_nothing_else(tmp_path, capsys):
    for name, words in {"a": [], "b": ["method=mdgan", "channel.name=wireless"]}.items():
        raygan.train(tiny(*words), tmp_path / name)
    assert run(["compare", str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "page.html")]) == 0
    assert "mdgan" in capsys.readouterr().out
    page = (tmp_path / "page.html").read_text()
    page = re.sub(r"<script>/\*\*.*?</script>", "", page, count=1, flags=re.DOTALL)  # less plotly itself
    assert re.findall(r'<option value="(\w+)">', page)[:2] == ["fd_clf", "classes_found"]
    assert re.findall(r'<option value="(\w+)">', page)[-3:] == ["round", "megabytes", "sim_s"]
    assert page.count("data:image/png;base64,") == 2 * 3, "rounds 0, 2 and 4 of both"
    assert not re.findall(r'(?:src|href)="(?!data:)', page), "nothing is fetched"
    assert re.findall(r"<td[^>]*>([\w.<>]+)</td>\n<td[^>]*>averaged</td>\n<td[^>]*>mdgan</td>", page) == ["method"]
    assert "channel.<wbr>name" not in page, "cells are as they are"


def test_a_mixture_is_compared_by_its_own_metric(tmp_path):
    raygan.train(tiny("data.name=gaussians", "gan.generator=mlp", "gan.discriminator=mlp", "rounds=2"), tmp_path / "g")
    done = compare([tmp_path / "g"], tmp_path / "page.html")
    assert "best reverse_kl" in done.text
    assert "last high_quality" in done.text, "points may lie on no mode, and the nearest one is counted"
    page = done.page.read_text()
    heads = ["round", "reverse KL of the modes (nats)", "modes found", "share of points on a mode"]
    assert re.findall(r"<th[^>]*>([^<]*)</th>", page.partition('<table class="cells">')[2])[:4] == heads
    assert "however far from it: read it with the share of points on a mode." in page


def test_what_a_reader_must_know_is_said(tmp_path):
    stuck = made(tmp_path / "stuck", [100.0, 120.0])
    other = made(tmp_path / "other", [100.0, 50.0], "channel.name=wireless")
    done = compare([stuck, other], tmp_path / "page.html")
    for text in (done.text, done.page.read_text()):
        assert "No costs of a target are given: not every run came below what all had before any training" in text
        assert "stuck: the untrained generator (round 0) was better than any after it" in text
        assert "different channels or computing speeds" in text
    table = pd.read_csv(done.table).set_index("run")
    assert not [column for column in table if "target" in column]
    assert table["best fd_clf"].to_dict() == {"stuck": 120, "other": 50}, "the untrained generator is never the best"
    alone = compare([other], tmp_path / "page.html")
    assert "The target is 50, the lowest value that every run has reached by training; between two ev" in alone.text
    assert "different channels" not in alone.text
    assert "before any training" not in alone.text


def test_settings_that_are_alike_are_a_line_and_no_columns(tmp_path):
    a, b = made(tmp_path / "a", [100.0, 50.0]), made(tmp_path / "b", [100.0, 40.0], "seed=1")
    done = compare([a, b], tmp_path / "page.html")
    line = "In all runs: method averaged, schedule (of averaged) serial, data digits, partition iid, channel none,"
    page = done.page.read_text()
    assert done.text.startswith(line)
    assert f"<p>{line}" in page
    costs = ("rounds", "MB", "simulated s")
    heads = re.findall(r"<th [^>]*>([^<]*)</th>", page.partition("<thead>")[2].partition("</thead>")[0])
    assert heads == ["run", "seed", "last fd_clf", "best fd_clf", *(f"{cost} to target" for cost in costs)]
    table = pd.read_csv(done.table)
    assert table["devices"].nunique() == 1, "machines read all columns"
    assert table["eval_samples"].tolist() == [50, 50]
    unlike = [a, made(tmp_path / "c", [100.0, 50.0], "method=fedgan", "rounds=9")]
    assert "In all runs: schedule" in compare(unlike, tmp_path / "page.html").text


def test_what_all_was_measured_with_is_said_and_seeds_may_differ(tmp_path):
    facts = {"reference_images": 1797, "compared_images": 40}
    runs = [made(tmp_path / f"{seed}", [100.0, 50.0], f"seed={seed}", eval_seed=seed, **facts) for seed in (0, 1)]
    page = compare(runs, tmp_path / "page.html").page.read_text()
    with_all = "Measured with 50 generated samples, 1,797 real images, 40 of them where single samples are compared, "
    but = "distances compare only where these are the same, but for the seed, which only draws the samples."
    assert f"{with_all}classifier abc, each run&#39;s own evaluation seed; {but}" in page
    alone = compare(runs[1:], tmp_path / "page.html").page.read_text()
    assert f"{with_all}classifier abc, evaluation seed 1; {but}" in alone


def test_names_are_as_long_as_they_must_be(tmp_path):
    runs = [made(tmp_path / parent / "run", [3.0, 2.0]) for parent in ("x", "y")]
    assert pd.read_csv(compare(runs, tmp_path / "page.html").table)["run"].tolist() == ["x/run", "y/run"]


def test_names_are_escaped_and_settings_that_differ_listed(tmp_path):
    a, b = (
        made(tmp_path / "<b>a", [3.0, 2.0]),
        made(tmp_path / "<b>b", [3.0, 2.0], "gan.latent=9", "channel.name=constant"),
    )
    page = compare([a, b], tmp_path / "page.html").page.read_text()
    assert "<b>" not in page.partition("<body>")[2]
    listed = page.partition("How the settings differ")[2]
    assert re.findall(r'<td class="text">([^<]*)</td>', listed)[:9] == [
        *["channel.downlink_bps", "-", "[50000000.0]", "channel.name", "none", "constant"],
        *["channel.uplink_bps", "-", "[10000000.0]"],
    ]
    assert 'gan.latent</td>\n<td class="text">8</td>\n<td class="text">9</td>' in listed
    assert "The folders hold no pictures of evaluated rounds." in page
    assert "They do not." in compare([a], tmp_path / "page.html").page.read_text()


def refused(folders, out, **options):
    with pytest.raises(InputError) as caught:
        compare(folders, out, **options)
    assert not out.exists()
    return str(caught.value)


def test_what_does_not_compare_is_refused_in_one_line(tmp_path):
    a, out = made(tmp_path / "a", [3.0, 2.0]), tmp_path / "page.html"
    other = made(tmp_path / "b", [3.0, 2.0], eval_samples=99)
    assert "b: measured with eval_samples 99" in refused([a, other], out)
    classifier = made(tmp_path / "c", [3.0, 2.0], classifier="def")
    assert "c: measured with classifier def, but a with abc" in refused([a, classifier], out)
    mixed = made(tmp_path / "mixed", [3.0, 2.0], "rounds=7")
    lines = (mixed / "rounds.jsonl").read_text().replace('"eval_samples": 50', '"eval_samples": 51', 1)
    (mixed / "rounds.jsonl").write_text(lines)
    assert "mixed: measured with eval_samples 51, and since it was resumed with 50:" in refused([mixed], out)
    assert "--metric: not every run has measured classifier (lower is better); all have" in refused(
        [a], out, metric="classifier"
    )
    assert "not a run folder" in refused([tmp_path], out)
    assert "named twice" in refused([a, a], out)
    assert "--metric: not every run has measured fid (lower is better); all have: fd_clf" in refused(
        [a], out, metric="fid"
    )
    assert "--metric: not every run has measured d_loss" in refused([a], out, metric="d_loss")
    for target in (float("nan"), -3.0):
        assert "is not a value above 0 that fd_clf could come down to" in refused([a], out, target=target)
    started = tmp_path / "started"
    started.mkdir()
    (started / "config.yaml").write_text(dump_config(tiny()))
    assert "started: has no evaluation yet" in refused([started], out)
    (tmp_path / "file").write_text("")
    assert "cannot be written" in refused([a], tmp_path / "file" / "page.html")


def test_runs_without_a_classifier_compare_only_on_the_same_data(tmp_path):
    out = tmp_path / "page.html"
    mixture = ("data.name=gaussians", "gan.generator=mlp", "gan.discriminator=mlp")
    runs = {}
    for name, words in {"a": [], "b": ["data.std=0.5"], "c": ["data.partition.name=dirichlet"]}.items():
        runs[name] = made(tmp_path / name, [3.0, 2.0], *mixture, *words)
        lines = (runs[name] / "rounds.jsonl").read_text().replace(', "classifier": "abc"', "")
        (runs[name] / "rounds.jsonl").write_text(lines)
    said = refused([runs["a"], runs["b"]], out)
    assert said == "b: has data.std=0.5, but a data.std=0.02: on different data, their distances do not compare"
    assert compare([runs["a"], runs["c"]], out).page == out, "who holds what may differ"


def without_classifier(folder, digest, *words):
    """A run on data with one class, which no classifier is trained on."""
    made(folder, [3.0, 2.0], *words, sliced_wasserstein=1.0)
    lines = (folder / "rounds.jsonl").read_text().replace(', "classifier": "abc"', "")
    (folder / "rounds.jsonl").write_text(lines)
    (folder / "data.json").write_text(json.dumps({"digest": digest}))
    return folder


def test_it_is_the_content_of_the_data_that_must_agree(tmp_path):
    out, npz = tmp_path / "page.html", "data={name: npz, root: %s}"
    a = without_classifier(tmp_path / "a", "d1", npz % "/here/x.npz")
    moved = without_classifier(tmp_path / "moved", "d1", npz % "/there/y.npz")
    changed = without_classifier(tmp_path / "changed", "d2", npz % "/here/x.npz", "seed=1")
    assert compare([a, moved], out).page == out
    out.unlink()
    said = refused([a, changed], out)
    assert said.startswith("changed: its data has the content hash d2, but that of a d1 (data.json):")
    mixture = ("data.name=gaussians", "gan.generator=mlp", "gan.discriminator=mlp")
    drawn = [without_classifier(tmp_path / f"{seed}", f"d{seed}", *mixture, f"seed={seed}") for seed in (5, 6)]
    assert compare(drawn, out).page == out, "samples of one mixture"
    (a / "data.json").write_text("{")
    assert "a/data.json: not the record of the data" in refused([a, moved], tmp_path / "other.html")


def test_a_kernel_distance_may_come_down_below_zero(tmp_path):
    run, out = made(tmp_path / "a", [3.0, 2.0], kd_clf=-0.002), tmp_path / "page.html"
    assert "nan is not a finite number that kd_clf" in refused([run], out, metric="kd_clf", target=float("nan"))
    done = compare([run], out, metric="kd_clf", target=-0.001)
    assert pd.read_csv(done.table)["rounds to target"].tolist() == [0]
