"""What a program can use of an error, and that every message begins with its key."""

import ast
import pickle
import re
from pathlib import Path
from typing import get_args

import pytest

from raygan.errors import BadUpdateError, Code, InputError, ProcessLostError, RunError
from tests.test_docs import ROOT

SOURCES = sorted((ROOT / "raygan").rglob("*.py"))
KINDS = {"InputError"}
CARRIED = {"error", "first_reason", "problem", "named", "wrong", "what", "why", "reason"}
"""Texts that begin with a key themselves."""
KEYED = re.compile(r"(--[a-z-]+(?: …=\.\.\.)?|…|[A-Z]+|\$?[\w.…]+|round 1)(=\w+|, line …| …| on …)?: ")


def raised(path: Path) -> list[tuple[int, ast.expr, list[str]]]:
    """The line, message and further arguments of every error that a file makes."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call) and node.args]
    return [
        (call.lineno, call.args[0], [key.value.value for key in call.keywords if isinstance(key.value, ast.Constant)])
        for call in calls
        if isinstance(call.func, ast.Name) and call.func.id in KINDS
    ]


def template(message: ast.expr) -> str | None:
    """The text with an ellipsis for each value; None if it is made elsewhere, or begins with another's text."""
    parts = message.values if isinstance(message, ast.JoinedStr) else [message]
    first = parts[0]
    if isinstance(first, ast.FormattedValue) and ast.unparse(first.value) in CARRIED:
        return None
    if isinstance(message, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else "…" for part in parts)
    return message.value if isinstance(message, ast.Constant) else None


TEMPLATES = [
    (path, line, text)
    for path in SOURCES
    for line, message, _ in raised(path)
    if (text := template(message)) is not None
]


def test_every_message_about_input_begins_with_its_key():
    assert len(TEMPLATES) > 150
    wrong = [f"{path.relative_to(ROOT)}:{line}: {text}" for path, line, text in TEMPLATES if not KEYED.match(text)]
    assert wrong == []
    assert not KEYED.match("the key comes late: devices")


def test_every_code_is_raised_and_explained():
    codes = set(get_args(Code))
    assert {code for path in SOURCES for _, _, given in raised(path) for code in given} <= codes
    page = (ROOT / "docs" / "extending.md").read_text()
    explained = re.findall(r"^\| `(\w+)` \|", page[page.index("## Errors in Python") :], flags=re.MULTILINE)
    assert sorted(explained) == sorted(codes)
    used = "".join(path.read_text() for path in SOURCES if path.name != "errors.py")
    assert [code for code in codes if f'"{code}"' not in used] == []


@pytest.mark.parametrize(
    ("message", "key"),
    [
        ("data.root: /a/b: cannot be read", "data.root"),
        ("/a b/c.yaml: not valid YAML: mapping: none", "/a b/c.yaml"),
        ("/a/rounds.jsonl, line 3: not JSON", "/a/rounds.jsonl"),
        ("--nodes 8xA10: 'A10' is no known GPU", "--nodes"),
        ("--out: /a: exists", "--out"),
        ("engine.executor=inline: a share", "engine.executor"),
        ("gan.latent=9: only eval.* keys", "gan.latent"),
        ("/a=b/c.png: not a readable image", "/a=b/c.png"),
        ("s3://bucket/run: cannot be read", "s3://bucket/run"),
        ("round 2, device 0: RuntimeError: on purpose", "round 2, device 0"),
        ("no key", None),
    ],
)
def test_the_key_is_what_the_message_begins_with(message, key):
    assert InputError(message).key == key
    assert RunError(message).key == key


def test_an_error_that_names_its_file_first_keeps_the_key():
    inner = InputError("space.lr: is empty", code="empty")
    outer = InputError(f"mine.yaml: {inner}", code=inner.code, key=inner.key)
    assert (outer.key, outer.code) == ("space.lr", "empty")


def test_errors_come_whole_out_of_other_processes():
    for error in (
        InputError("mine.yaml: devices: wrong", code="value", key="devices"),
        BadUpdateError("round 1, device 2: no good update", code="diverged"),
        ProcessLostError("device 1: it hung", "abc"),
    ):
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is type(error)
        assert (str(again), again.key, again.code) == (str(error), error.key, error.code)
        assert again.__dict__ == error.__dict__
