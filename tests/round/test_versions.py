"""Processes that compute otherwise than the driver."""

import pytest

from raygan import InputError
from raygan.round.versions import check_versions, computes_with


def process(**others):
    return {"role": "device 3", "address": "10.0.0.7", **computes_with(), **others}


def test_other_versions_are_refused_with_the_node():
    check_versions([process(), process()])
    with pytest.raises(InputError, match=r"^device 3 on 10\.0\.0\.7 has torch 2\.6\.0, but the driver has .*; install"):
        check_versions([process(), process(torch="2.6.0")])
