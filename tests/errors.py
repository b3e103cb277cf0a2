"""Errors by what a program can use of them: the key, the kind of fault, and the values that are named."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import PurePath

import pytest

from raygan.cli import cli
from raygan.errors import InputError, RunError

Error = type[InputError] | type[RunError]


def is_about(error: InputError | RunError, key: str, code: str | None = None, *values: object) -> None:
    """Fail unless the error is about the key (of a file, its name is enough), is such a fault, and names the values."""
    text = str(error)
    assert "\n" not in text
    assert error.key is not None, text
    assert key in (error.key, PurePath(error.key).name), f"{error.key}: {text}"
    assert code in (error.code, None), f"{error.code}: {text}"
    missing = [value for value in map(str, values) if not re.search(rf"(?<!\w){re.escape(value)}(?!\w)", text)]
    assert not missing, text


@contextmanager
def raises(
    key: str, code: str | None = None, *values: object, kind: Error | tuple[Error, ...] = InputError
) -> Iterator[pytest.ExceptionInfo[InputError | RunError]]:
    """Fail unless the block raises such an error."""
    with pytest.raises(kind) as caught:
        yield caught
    is_about(caught.value, key, code, *values)
    del caught  # or this frame and the error's traceback hold each other, and files in it are closed late


def refuses(words: Iterable[object], key: str, code: str | None = None, *values: object) -> None:
    """Fail unless a command line raises such an error. What is printed of it is tested in `tests/test_cli.py`."""
    with raises(key, code, *values):
        cli.main([str(word) for word in words], prog_name="raygan", standalone_mode=False)
