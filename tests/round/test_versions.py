"""Processes that compute otherwise than the driver."""

from raygan.round.versions import check_versions, computes_with
from tests.errors import raises


def process(**others):
    return {"role": "device 3", "address": "10.0.0.7", **computes_with(), **others}


def test_other_versions_are_refused_with_the_node():
    check_versions([process(), process()])
    with raises("device 3 on 10.0.0.7", "mismatch", "2.6.0"):
        check_versions([process(), process(torch="2.6.0")])
