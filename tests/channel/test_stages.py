"""The stages of secure aggregation against closed forms: bytes and seconds."""

import pytest

from raygan.channel.stages import Stages
from raygan.channel.traffic import Traffic
from raygan.config.aggregation import SecAgg
from tests.channel.test_clock import CONSTANT, clock

SECURE = "aggregation.secure.name=secagg"


@pytest.mark.parametrize("devices", [2, 3, 100])
def test_bits_of_a_stage(devices):
    stages = Stages(SecAgg())
    advertise, share = stages.before(devices).values()
    (unmask,) = stages.behind(devices).values()
    assert (advertise.up_bits, advertise.down_bits) == (8 * 64, 8 * 64 * devices)
    assert share.up_bits == share.down_bits == 8 * (2 * 33 + 16) * (devices - 1)
    assert (unmask.up_bits, unmask.down_bits) == (8 * 33 * devices, devices)
    keys = (advertise.up_bits + advertise.down_bits) // 256
    shares = (2 * (share.up_bits + share.down_bits) - 4 * 128 * (devices - 1)) // (2 * 264) + devices
    assert keys == 2 * devices + 2, "the paper's 2 n, and the device's own two, which a broadcast has in it"
    assert shares == 5 * devices - 4, "the paper's"


@pytest.mark.parametrize(("weight", "values", "more"), [(1, 1000, 0), (40, 1001, 6)])
def test_a_masked_update_has_the_modulus_of_its_round(weight, values, more):
    stages = Stages(SecAgg(bits=20, max_weight=weight))
    for devices, bits in ((2, 1), (3, 2), (5, 3), (1024, 10)):
        sent = stages.masked(Traffic(down=7, up=1000, broadcast=True), devices, value_bits=16)
        exact = (devices * weight - 1).bit_length()
        assert exact in (bits + more, bits + more - 1) if weight > 1 else exact == bits
        assert 1000 * 16 + sent.up_bits == values * (20 + exact)


def test_a_round_has_the_bytes_and_seconds_of_its_stages():
    """Uplinks of 1, 2 and 4 kbit/s; downlinks of 8, 16 and 4; the broadcast at 4."""
    plain, one = clock(*CONSTANT).round(1), clock(*CONSTANT, SECURE).round(1)
    masked = -(-1000 * 24 // 8)
    assert one.bytes_up == 3 * (64 + 2 * 82 + masked + 3 * 33)
    assert one.bytes_down - plain.bytes_down == 3 * (3 * 64 + 2 * 82 + 1)
    assert one.cohort == one.devices == [0, 1, 2]
    assert one.phases.stages == {
        "advertise_keys": 8 * 64 / 1e3 + 8 * 192 / 4e3,
        "share_keys": 8 * 164 / 1e3 + 8 * 164 / 4e3,
        "unmask": 8 * 99 / 1e3 + 3 / 4e3,
    }
    assert (one.phases.down, one.phases.device, one.phases.up) == (24.0, 1.0, 24.0)
    assert one.phases.seconds == pytest.approx(24 + 25 + plain.phases.average + sum(one.phases.stages.values()))
    assert plain.cohort == []
    assert plain.phases.stages == {}


@pytest.mark.parametrize(("threshold", "unmasked"), [(0.6, True), (0.7, False)])
def test_late_devices_are_dropouts(threshold, unmasked):
    """Device 0 sends for 24 seconds, and is late."""
    words = [*CONSTANT, SECURE, f"aggregation.secure.threshold={threshold}", "selection.deadline_s=48"]
    one = clock(*words, finish=5e6).round(1)
    assert (one.cohort, one.devices, one.late) == ([0, 1, 2], [1, 2], 1)
    assert ("unmask" in one.phases.stages) == unmasked
    assert (one.phases.average > 0) == (one.phases.server > 0) == unmasked
    assert one.bytes_up == 3 * (64 + 164) + 2 * 3000 + 2 * 99 * unmasked


def test_without_links_stages_take_no_time():
    phases = clock("devices=3", SECURE).round(1).phases
    assert phases.stages == dict.fromkeys(["advertise_keys", "share_keys", "unmask"], 0.0)
