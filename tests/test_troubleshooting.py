"""The messages that docs/troubleshooting.md quotes are still what the sources say."""

import ast
import re

import pytest

from tests.test_docs import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text()
QUOTED = [line for block in re.findall(r"```raygan\n(.*?)```", PAGE, flags=re.DOTALL) for line in block.splitlines()]


def texts() -> set[str]:
    """Every string of the sources, with an ellipsis where a value is put in."""
    found = set()
    for path in (ROOT / "raygan").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.add(node.value)
            elif isinstance(node, ast.JoinedStr):
                found.add("".join(part.value if isinstance(part, ast.Constant) else "…" for part in node.values))
    return found


SAID = texts()


def is_said(quoted: str) -> bool:
    return any(quoted in text for text in SAID)


def test_messages_are_quoted():
    assert len(QUOTED) > 30
    assert not is_said("engine: … could hold … device actors and a server, but others hold nothing")


@pytest.mark.parametrize("quoted", QUOTED)
def test_a_message_is_in_the_sources(quoted):
    assert is_said(quoted)
    assert len(quoted.replace("…", "").strip(" :;")) > 10, "or it would be in any"
