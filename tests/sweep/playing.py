"""Whole sweeps from the command line: in a process with a Ray of its own, or in this one on the session's."""

import re
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO

import pandas as pd
import psutil

import raygan
from raygan.cli import run
from raygan.config.source import dump
from raygan.record.folder import RunFolder
from tests.processes import descendants
from tests.sweep.helpers import CONFIG, RATES

COMMAND = [sys.executable, "-m", "raygan.cli", "tune"]
OVER = ("finished", "stopped", "failed")
OURS = ("ray::ImplicitFunc", "ray::WorkerActor", "ray::ServerActor", "ray::RecorderActor")


def name_of(process):
    try:
        return " ".join(process.cmdline())
    except psutil.Error:  # it is gone
        return ""


class Said:
    """What a `raygan tune` has said."""

    def __init__(self, lines=()):
        self.lines = list(lines)

    def told(self, what):
        """The trials of which something was said, in its order."""
        return [line[:5] for line in self.lines if re.match(rf"\d{{5}}: ({what})", line)]


class Playing(Said):
    """A `raygan tune` under way, with a Ray of its own."""

    def __init__(self, *words):
        self.process = subprocess.Popen(
            [*COMMAND, *map(str, words)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
            start_new_session=True,
        )
        super().__init__()
        self.ours = set()

    def until(self, enough):
        """Read on until the lines so far are enough, or all there are."""
        for line in self.process.stdout:
            self.lines.append(line.rstrip("\n"))
            below = descendants(self.process.pid)
            self.ours |= {process for process in below if name_of(process).startswith(OURS)}
            if enough(self.lines):
                return self
        self.end()
        raise AssertionError(self.errors or "\n".join(self.lines))

    def end(self):
        """Its status, once it and all that it started are gone."""
        self.lines += self.process.stdout.read().splitlines()
        self.errors = self.process.stderr.read()
        status = self.process.wait(timeout=60)
        self.process.stdout.close()
        self.process.stderr.close()
        _, left = psutil.wait_procs(self.ours, timeout=20)
        assert not left
        return status


def played(*words, expected=0):
    playing = Playing(*words).until(lambda lines: re.search("started|goes on", lines[-1]))
    status = playing.end()
    assert (status, playing.errors) == (expected, ""), playing.lines
    return playing


def played_here(*words, expected=0):
    """The same in this process, on the session's cluster: no Ray to start, no torch to import."""
    said, wrong = StringIO(), StringIO()
    with redirect_stdout(said), redirect_stderr(wrong):
        status = run(["tune", *map(str, words)])
    assert (status, wrong.getvalue()) == (expected, ""), said.getvalue()
    return Said(said.getvalue().splitlines())


def most_at_once(lines):
    running, most = set(), 0
    for line in lines:
        if match := re.match(r"(\d{5}): (\w+)", line):
            trial, what = match.groups()
            running = running - {trial} if what in OVER else running | {trial}
            most = max(most, len(running))
    return most


def written(folder, **keys):
    path = folder / "mine.yaml"
    path.write_text(dump({"config": CONFIG, "space": RATES} | keys))
    return path


def table_of(folder):
    return pd.read_csv(folder / "results.csv", dtype={"trial": str}, keep_default_na=False, na_values=[""])


def check_it_trains_to_the_same(config, folder, out, beyond=None):
    """A trial's config, trained anew, gives what the trial had come to: all of it, or its first rounds.

    They are to be more than `beyond`; without it, more than half.
    """
    alone, rows = raygan.train(config, out), RunFolder(folder).log.rows()
    if (generator := RunFolder(folder).generator).exists():
        assert generator.read_bytes() == alone.generator.read_bytes()
    times = ("wall_s", "spent_s")
    plain = [[{key: row[key] for key in row.keys() - times} for row in one] for one in (rows, alone.rows)]
    both = min(map(len, plain))  # one that was stopped early may have begun a round behind its last report
    assert both > (config.rounds // 2 if beyond is None else beyond)
    assert plain[0][:both] == plain[1][:both]
