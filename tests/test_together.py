"""Tests that share a cluster of the session run in one process, however many processes there are."""

import pytest

from tests.conftest import FIRST, TOGETHER, file_of
from tests.test_docs import ROOT


def test_files_that_use_a_cluster_of_the_session_are_listed(request):
    found = {}
    for item in request.session.items:
        if TOGETHER.keys() & {file_of(item.nodeid)} or not isinstance(item, pytest.Function):
            continue
        for name in {*TOGETHER.values()}:
            if any(made.baseid == "tests" for made in item._fixtureinfo.name2fixturedefs.get(name, ())):
                found[file_of(item.nodeid)] = name
    assert not found, "add them to TOGETHER in tests/conftest.py"


@pytest.mark.parametrize("file", [*TOGETHER, *FIRST])
def test_what_is_listed_is_there(file):
    assert (ROOT / file).exists()
