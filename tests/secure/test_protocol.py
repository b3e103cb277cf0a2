"""The protocol: sums are exact, dropouts are recovered, and a single message tells nothing."""

from itertools import combinations
from math import erf, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raygan.config.aggregation import SecAgg
from tests.errors import raises

pytest.importorskip("cryptography", reason="needs pip install 'raygan[secure]'")

from raygan.channel.stages import CIPHERTEXT_BITS, KEY_BITS, SHARE_BITS, TAG_BITS
from raygan.errors import RunError
from raygan.secure import keys
from raygan.secure.keys import DeviceKeys, agreed, mask_of
from raygan.secure.protocol import SecureSum, TooFewError
from raygan.secure.shamir import PRIME, SHARE_BYTES

SIZE = 7


def secure_sum(size=SIZE, **how):
    return SecureSum(SecAgg(**how), seed=3, size=size, toward_zero=False)


def integers_of(secure, devices, seed=0):
    random = np.random.default_rng(seed)
    updates = {device: random.uniform(-1.2, 1.2, secure.size).astype(np.float32) for device in devices}
    return {device: secure.integers(vector, None, 1) for device, vector in updates.items()}


def total_of(secure, integers, cohort, answered, round=1):
    sent = [secure.masked(integers[device], device, round, cohort) for device in answered]
    return np.add.reduce(sent)


@pytest.mark.parametrize("bits", [2, 22, 30, 32])
@pytest.mark.parametrize("cohort", [[0, 1], [4, 0, 9], list(range(6))])
def test_the_masked_sum_is_the_plain_integer_sum(bits, cohort):
    secure = secure_sum(bits=bits)
    integers = integers_of(secure, cohort)
    unmasked = secure.unmasked(total_of(secure, integers, cohort, cohort), cohort, 1, cohort)
    assert unmasked.tolist() == sum(integers.values()).tolist()


def test_every_dropout_that_leaves_the_threshold_is_recovered_and_one_more_is_refused():
    cohort = [0, 2, 3, 5, 8]
    secure = secure_sum(threshold=0.6)
    integers = integers_of(secure, cohort)
    sent = {device: secure.masked(integers[device], device, 4, cohort) for device in cohort}
    for answering in (5, 4, 3):
        for answered in combinations(cohort, answering):
            total = np.add.reduce([sent[device] for device in answered])
            expected = sum(integers[device] for device in answered)
            assert secure.unmasked(total, answered, 4, cohort).tolist() == expected.tolist()
    with pytest.raises(TooFewError, match=r"2 of 5 devices have answered, .* from 3 on"):
        secure.unmasked(sent[0] + sent[2], [0, 2], 4, cohort)


@settings(max_examples=15, deadline=None)
@given(st.sets(st.integers(0, 10**6), min_size=2, max_size=6), st.data())
def test_any_cohort_and_any_dropouts(devices, data):
    cohort = sorted(devices)
    secure = secure_sum(threshold=0.5, max_weight=9)
    answered = data.draw(st.lists(st.sampled_from(cohort), min_size=max(2, -(-len(cohort) // 2)), unique=True))
    weights = {device: data.draw(st.integers(1, 9)) for device in cohort}
    integers = {
        device: secure.integers(np.full(SIZE, device / 10**6, np.float32), None, weights[device]) for device in cohort
    }
    total = total_of(secure, integers, cohort, answered)
    unmasked = secure.unmasked(total, answered, 1, cohort)
    assert unmasked.tolist() == sum(integers[device] for device in answered).tolist()
    mean = secure.mean(unmasked, len(answered), np.zeros(SIZE, np.float32))
    assert mean.weight == sum(weights[device] for device in answered)
    exact = sum(weights[device] * device / 10**6 for device in answered) / mean.weight
    assert np.allclose(mean.vector, exact, atol=1e-6)


def tail(samples, levels):
    """The probability of as large a chi-square of uniform numbers, by Wilson and Hilferty."""
    counts = np.bincount(samples, minlength=levels)
    expected, free = len(samples) / levels, levels - 1
    statistic = float(((counts - expected) ** 2 / expected).sum())
    z = ((statistic / free) ** (1 / 3) - (1 - 2 / (9 * free))) / sqrt(2 / (9 * free))
    return (1 - erf(z / sqrt(2))) / 2


@pytest.mark.parametrize("cohort", [[0, 1], list(range(4))])
def test_a_single_message_looks_uniform_and_the_sum_does_not(cohort):
    secure = secure_sum(size=50_000)
    bits = 22 + len(cohort).bit_length() - 1
    integers = {device: np.full(50_000, 11) for device in cohort}
    sent = {device: secure.masked(integers[device], device, 1, cohort) for device in cohort}
    for message in sent.values():
        assert message.max() < 2**bits
        for shift in (0, bits - 8):  # the lowest byte and the highest
            assert tail((message >> np.uint32(shift)) & np.uint32(255), 256) > 1e-4
        assert abs(np.corrcoef(message[1:], message[:-1])[0, 1]) < 0.03
    total = np.add.reduce(list(sent.values()))
    unmasked = secure.unmasked(total, cohort, 1, cohort)
    assert tail(unmasked & 255, 256) < 1e-12
    assert (unmasked == 11 * len(cohort)).all()


def test_the_server_s_sum_before_unmasking_is_uniform_too():
    """Self-masks hide a sum that no device has helped to unmask."""
    secure, cohort = secure_sum(size=50_000), [0, 1, 2]
    total = total_of(secure, dict.fromkeys(cohort, np.zeros(50_000, np.int64)), cohort, cohort)
    assert tail(total & np.uint32(255), 256) > 1e-4


def test_messages_of_rounds_and_devices_have_nothing_in_common():
    secure, cohort = secure_sum(size=2000), [0, 1, 2]
    zero = np.zeros(2000, np.int64)
    sent = [secure.masked(zero, device, round, cohort) for device in cohort for round in (1, 2)]
    assert all((one == other).mean() < 0.01 for one, other in combinations(sent, 2))


def test_both_ends_agree_and_nobody_else_does():
    one, two, three = (DeviceKeys(0, device, 1) for device in range(3))
    assert agreed(one.private, two.public) == agreed(two.private, one.public)
    assert len({agreed(one.private, two.public), agreed(one.private, three.public)}) == 2
    drawn = {key for keys_of in (one, two, three) for key in (keys_of.private, keys_of.own)}
    assert len(drawn | {DeviceKeys(0, 0, 2).private, DeviceKeys(1, 0, 1).private}) == 8


def test_a_mask_is_the_keystream_of_rfc_8439():
    """Appendix A.1, test vector 1: key, nonce and counter of zeros."""
    assert mask_of(bytes(32), 4, np.uint32).tobytes().hex() == "76b8e0ada0f13d90405d6ae55386bd28"
    assert mask_of(bytes(32), 2, np.uint64).tobytes() == mask_of(bytes(32), 4, np.uint32).tobytes()


def test_what_is_priced_is_what_there_is():
    keys_of = DeviceKeys(0, 0, 1)
    assert 8 * len(keys_of.public) == KEY_BITS
    assert SHARE_BITS == 8 * SHARE_BYTES
    assert CIPHERTEXT_BITS == 2 * SHARE_BITS + TAG_BITS
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    share = (PRIME - 1).to_bytes(SHARE_BYTES, "little")
    assert 8 * len(ChaCha20Poly1305(bytes(32)).encrypt(bytes(12), 2 * share, None)) == CIPHERTEXT_BITS


def test_a_weight_that_the_modulus_has_no_room_for():
    with raises("aggregation.secure.max_weight", "result", 3, 2, kind=RunError):
        secure_sum(max_weight=2).integers(np.zeros(SIZE, np.float32), None, 3)


def test_a_weight_travels_in_the_sum():
    secure = secure_sum(max_weight=50, clip=1.0)
    start = np.arange(SIZE, dtype=np.float32)
    integers = {0: secure.integers(start + np.float32(0.25), start, 30), 1: secure.integers(start, start, 10)}
    total = total_of(secure, integers, [0, 1], [0, 1])
    mean = secure.mean(secure.unmasked(total, [0, 1], 1, [0, 1]), 2, start)
    assert mean.weight == 40
    assert np.allclose(mean.vector - start, 0.1875, atol=2e-6)


def test_without_the_package_one_line_names_the_extra(monkeypatch):
    monkeypatch.setattr(keys, "find_spec", lambda name: None)
    with raises("aggregation.secure.name", "package", "raygan[secure]"):
        keys.check_cryptography()
