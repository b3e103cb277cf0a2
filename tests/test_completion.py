"""What TAB offers, as click's classes for each shell ask for it, and in the shells themselves."""

import fcntl
import os
import pty
import select
import shutil
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete, get_completion_class

from raygan import InputError, components, load_config
from raygan.cli import cli
from raygan.completion import _TABLES
from tests.test_rooms import HEAVY, loaded_after

ROOT = Path(__file__).parents[1]


def offered(line: str) -> list[str]:
    """What may stand at the end of a command line, as zsh and fish split it."""
    *arguments, begun = line.split(" ")
    return [item.value for item in ShellComplete(cli, {}, "raygan", "_X").get_completions(arguments, begun)]


def in_bash(monkeypatch, *words: str) -> list[str]:
    """The same, of the words that bash makes of a line: it splits at `=`."""
    bash = get_completion_class("bash")(cli, {}, "raygan", "_X")
    monkeypatch.setenv("COMP_WORDS", "\n".join(["raygan", *words]))
    monkeypatch.setenv("COMP_CWORD", str(len(words)))
    return [line.removeprefix("plain,") for line in bash.complete().splitlines()]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("tr", ["train"]),
        ("train fash", ["fashion_mnist"]),
        ("train batch", ["batch_size=", "batch_size=32"]),
        ("train sched", ["schedule=serial", "schedule=parallel", "schedule=asynchronous"]),
        ("train schedule=p", ["schedule=parallel"]),
        ("train engine.pre", ["engine.pre_average=true", "engine.pre_average=false"]),
        ("train gan.loss=", [f"gan.loss={name}" for name in components.LOSSES]),
        ("train data.partition.name=", [f"data.partition.name={name}" for name in components.PARTITIONS]),
        ("train data.name=gaussians data.mod", ["data.modes=", "data.modes=8"]),
        ("train data.size=", [f"data.size={size}" for size in (16, 28, 32, 64, 128, 256, "null")]),
        ("train device_optimizer.name=", ["device_optimizer.name=adam", "device_optimizer.name=sgd"]),
        ("train nonsense.", []),
        ("train nonsense=", []),
        ("train digits dig", []),
        ("plan devices=3 sched", ["schedule=serial", "schedule=parallel", "schedule=asynchronous"]),
        ("tune s.yaml scheduler.name=", [f"scheduler.name={name}" for name in ("fifo", "asha", "pbt", "pb2")]),
        ("tune s.yaml mode", ["mode=min", "mode=max"]),
        ("tune s.yaml rounds=", ["rounds=", "rounds=800"]),
        ("evaluate DIR dev", []),
        ("evaluate DIR eval.gri", ["eval.grid=", "eval.grid=10"]),
        ("sample DIR ", [f"gan.generator={name}" for name in components.GENERATORS]),
    ],
)  # fmt: skip
def test_keys_and_values(line, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert offered(line) == expected


def test_a_path_is_offered_part_by_part():
    assert {"data.", "gan.", "rounds=", "schedule="} <= set(offered("train digits "))
    below = offered("train data.")
    assert {"data.partition.", "data.limit=", "data.modes=", "data.root="} <= set(below)
    assert not any(word.startswith("data.partition.n") for word in below)
    inside = offered("train data.pa")
    assert len(inside) > 2
    assert all(word.startswith("data.partition.") for word in inside)
    assert "data.modes=" not in offered("train data.name=digits data.")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["train", "schedule", "="], ["serial", "parallel", "asynchronous"]),
        (["train", "schedule", "=", "pa"], ["parallel"]),
        (["train", "digits", "data.name", "=", "celeba", "data.attr"], ["data.attribute=", "data.attribute=Male"]),
        (["train", "digits", "gan.generator_norm", "=", "g"], ["group"]),
    ],
)
def test_bash_takes_words_apart(words, expected, monkeypatch):
    assert in_bash(monkeypatch, *words) == expected


@pytest.mark.parametrize("key", _TABLES)
def test_components_are_offered_for_the_keys_that_take_them(key):
    with pytest.raises(InputError) as caught:
        load_config(None, [f"{key}=zzzzzz"])
    said = str(caught.value).replace(f"{key}.0:", f"{key}:")  # the first of a list
    assert said.startswith(f"{key}: 'zzzzzz' is not known; known: {', '.join(_TABLES[key])} (or ")


def test_every_table_belongs_to_a_key():
    tables = [value for name, value in vars(components).items() if name.isupper() and isinstance(value, dict)]
    assert {*map(id, tables)} == {*map(id, _TABLES.values())}


def test_files_and_run_folders(tmp_path, monkeypatch):
    for folder in ("runs/first", "runs/second/checkpoints", "configs", ".hidden"):
        (tmp_path / folder).mkdir(parents=True)
    for file in ("runs/first/config.yaml", "configs/mine.yaml", "configs/notes.txt", "picture.png"):
        (tmp_path / file).touch()
    monkeypatch.chdir(tmp_path)
    assert offered("train c") == [
        "celeba",
        "cifar10",
        "configs/",
        "compression.",
        "channel.",
        "compute.",
        "checkpoint.",
    ]
    assert offered("train data.name=parquet data.root=pic") == ["data.root=picture.png"]
    assert offered("train conf") == ["configs/mine.yaml"]
    assert offered("evaluate ") == ["configs/", "runs/"]
    assert offered("evaluate runs/") == ["runs/first", "runs/second/"]
    assert offered(f"evaluate {tmp_path}/runs/f") == [f"{tmp_path}/runs/first"]
    assert offered("compare runs/first runs/s") == ["runs/second/checkpoints/"]
    assert offered("compare runs/first --price channel.name=con") == ["channel.name=constant"]
    assert offered("compare runs/first --price channel.name=constant --price channel.upl")[0] == "channel.uplink_bps="
    assert offered("compare runs/first --price se") == []
    assert offered("train --out runs/f") == ["runs/first"]
    assert offered("train data.root=conf") == ["data.root=configs/mine.yaml", "data.root=configs/notes.txt"]
    assert offered("evaluate nowhere/") == []


def test_completing_loads_nothing_heavy():
    assert not loaded_after("import raygan.cli, raygan.completion") & HEAVY


# --- the shells themselves -------------------------------------------------------------------------


@pytest.fixture
def environment(tmp_path):
    """With a command `raygan` that plays these sources."""
    command = tmp_path / "bin" / "raygan"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m raygan "$@"\n')
    command.chmod(0o755)
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH",) if name in os.environ}
    return kept | {"PATH": f"{command.parent}:{os.environ['PATH']}", "TERM": "dumb", "HOME": str(tmp_path)}


def typed(command: list[str], environment: dict[str, str], steps: list[tuple[str, str]]) -> str:
    """What a shell on a terminal shows while each text is typed and what it is to be answered with is waited for."""
    child, terminal = pty.fork()
    if child == 0:
        os.execvpe(command[0], command, environment)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 250, 0, 0))
    shown = ""
    try:
        for keys, answer in steps:
            os.write(terminal, keys.encode())
            seen, deadline = len(shown), time.monotonic() + 60
            while answer not in shown[seen:]:
                assert time.monotonic() < deadline, f"{answer!r} does not come after {keys!r}: {shown[seen:]!r}"
                if select.select([terminal], [], [], 0.2)[0]:
                    shown += os.read(terminal, 65536).decode().replace("\a", "")
    finally:
        os.write(terminal, b"\x03exit\n")
        os.close(terminal)
        os.waitpid(child, 0)
    return shown


TYPING = [
    ("raygan train sched\t", "ule="),
    ("s\t", "erial"),
    (" data.pa\t", "rtition."),
    ("n\t", "ame="),
    ("q\t", "uantity"),
    (" data.partition.a\t", "lpha="),
    ("0.3\x01echo \x05\n", "\nraygan train schedule=serial data.partition.name=quantity data.partition.alpha=0.3"),
]
IN_BASH = [(keys[1:] if keys.startswith(" ") else keys, answer) for keys, answer in TYPING]  # it adds the space itself


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_in_a_real_bash(environment):
    begin = ('eval "$(_RAYGAN_COMPLETE=bash_source raygan)"; echo rea""dy\n', "ready")
    typed(["bash", "--norc", "--noprofile", "-i"], environment, [begin, *IN_BASH])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("zsh") is None, reason="needs zsh")
def test_in_a_real_zsh(environment):
    begin = "autoload -Uz compinit; compinit -u -D; "
    begin += 'eval "$(_RAYGAN_COMPLETE=zsh_source raygan)"; PS1="> "; echo rea""dy\n'
    typed(["zsh", "-f", "-i"], environment, [(begin, "ready"), *TYPING])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("fish") is None, reason="needs fish")
def test_in_a_real_fish(environment):
    ask = "_RAYGAN_COMPLETE=fish_source raygan | source; complete -C 'raygan train sched'"
    done = subprocess.run(["fish", "--no-config", "-c", ask], env=environment, capture_output=True, text=True)
    assert sorted(done.stdout.split()) == ["schedule=asynchronous", "schedule=parallel", "schedule=serial"]
