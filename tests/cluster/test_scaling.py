"""What an autoscaler says of itself, read from recorded states; no Ray here."""

import json
from dataclasses import asdict

import pytest
from ray.autoscaler._private.autoscaler import AutoscalerSummary
from ray.autoscaler._private.node_provider_availability_tracker import (
    NodeAvailabilityRecord,
    NodeAvailabilitySummary,
    UnavailableNodeInformation,
)
from ray.autoscaler._private.util import format_readonly_node_type

from raygan.cluster import autoscaler
from raygan.cluster.scaling import Failure, Failures, Scaling, scaling_of_v1, scaling_of_v2, words_in
from tests.cluster import recorded
from tests.cluster.recorded import WORDS


def test_version_2():
    assert scaling_of_v2(recorded.NONE) is None
    requested = scaling_of_v2(recorded.REQUESTED)
    assert (requested.present, requested.requested, requested.starting) == ({}, {"small": 1}, {"small": 1})
    assert requested.launching() == "1 small starting, 1 small requested"
    assert scaling_of_v2(recorded.JOINED).present == {"small": 1}
    failed = scaling_of_v2(recorded.FAILED)
    assert failed.failures == (Failure("small", 1795884990, ""), Failure("small", 1795884991, ""))
    assert scaling_of_v2(recorded.INFEASIBLE).infeasible == {recorded.GROUP}


def test_version_1_as_ray_writes_it():
    why = UnavailableNodeInformation("VcpuLimitExceeded", "limit of 0")
    known = {
        "gpu": NodeAvailabilityRecord("gpu", False, 1795884990.5, why),
        "cpu": NodeAvailabilityRecord("cpu", True, 1795884990.5, None),
    }
    summary = AutoscalerSummary(
        active_nodes={"head": 1, "cpu": 2},
        idle_nodes={"cpu": 1},
        pending_nodes=[("10.0.0.7", "cpu", "setting-up")],
        pending_launches={"gpu": 4},
        failed_nodes=[("10.0.0.8", "cpu")],
        node_availability_summary=NodeAvailabilitySummary(known),
    )
    status = json.loads(json.dumps({"time": 1.0, "autoscaler_report": asdict(summary)}))
    assert scaling_of_v1(status) == Scaling(
        present={"head": 1, "cpu": 3},
        requested={"gpu": 4},
        starting={"cpu": 1},
        failures=(Failure("gpu", 1795884990, "VcpuLimitExceeded: limit of 0"),),
        infeasible=frozenset(),
    )
    assert scaling_of_v1({}) is None


def test_the_providers_words_are_in_the_log():
    assert words_in(recorded.LOG) == {"small": WORDS}
    assert words_in(recorded.LOG_V1) == {"gpu.a": "(Max): no"}


def test_a_state_that_cannot_be_had_or_read_is_none(monkeypatch):
    def lost():
        raise RuntimeError("timed out")

    monkeypatch.setattr(autoscaler, "autoscaler_reply", lost)
    assert autoscaler.ask_scaling() is None
    monkeypatch.setattr(autoscaler, "autoscaler_reply", lambda: recorded.NONE)
    for kept in (
        None,
        b"{",
        b'{"autoscaler_report": {"node_availability_summary": {"node_availabilities": {"a": 1}}}}',
    ):
        monkeypatch.setattr(autoscaler, "autoscaler_status", lambda kept=kept: kept)
        assert autoscaler.ask_scaling() is None


def noted(*tries, words=WORDS, failures=None):
    failures = failures or Failures()
    for seconds in tries:
        state = scaling_of_v2(recorded.reply(failed_instance_requests=recorded.failed(*range(seconds))))
        failures.note(state, {"small": words} if words else {})
    return failures


def test_failures_of_before_the_wait_do_not_count():
    failures = noted(2)
    assert (failures.told(), failures.lack_words(), failures.hopeless()) == ("", False, False)
    noted(3, failures=failures)
    assert failures.told(counting=True) == f"small could not be started: {WORDS[:-1]}"


def test_what_keeps_failing_is_hopeless_after_three_tries_until_a_node_comes():
    failures = noted(0, 1, 2)
    assert not failures.hopeless()
    noted(3, 3, 3, failures=failures)
    assert failures.hopeless()
    assert failures.told(counting=True).startswith("small could not be started, 3 times: An error occurred (Vcpu")
    assert failures.hopeless(frozenset({"small"}))
    assert not failures.hopeless(frozenset({"small", "large"})), "that was not tried yet"
    failures.forget()
    noted(3, failures=failures)
    assert (failures.told(), failures.hopeless()) == ("", False)


@pytest.mark.parametrize(
    ("words", "lasting"),
    [
        ("You have requested more vCPU capacity ... (VcpuLimitExceeded)", True),
        ("(MaxSpotInstanceCountExceeded): Max spot instance count exceeded", True),
        ("(UnauthorizedOperation): You are not authorized to perform iam:PassRole", True),
        ("(InvalidAMIID.NotFound): The image id does not exist", True),
        ("Quota 'GPUS_ALL_REGIONS' exceeded.  Limit: 0.0 globally.", True),
        ("(InsufficientInstanceCapacity): We currently do not have sufficient g5.2xlarge capacity", False),
        ("ZONE_RESOURCE_POOL_EXHAUSTED", False),
        ("(RequestLimitExceeded): Request limit exceeded.", False),
        ("rateLimitExceeded", False),
        ("", False),
    ],
)
def test_a_lack_of_machines_may_end_but_a_quota_does_not(words, lasting):
    assert noted(0, 1, 2, 3, words=words).hopeless() is lasting


def test_words_that_the_status_lacks_are_missed():
    failures = noted(0, 1, words="")
    assert failures.lack_words()
    assert failures.told() == "small could not be started: the provider gave no reason"
    failures.note(scaling_of_v2(recorded.NONE | recorded.reply()), {"small": "x" * 1000})
    assert not failures.lack_words()
    assert len(failures.told()) < 400


def test_nodes_that_joined_by_hand_are_of_no_type():
    name = format_readonly_node_type("f" * 51 + "00001")
    assert scaling_of_v2(recorded.reply([recorded.SMALL | {"ray_node_type_name": name}])).present == {}
    summary = AutoscalerSummary({name: 1}, {name: 1}, [], {}, [])
    assert scaling_of_v1({"autoscaler_report": json.loads(json.dumps(asdict(summary)))}).present == {}
