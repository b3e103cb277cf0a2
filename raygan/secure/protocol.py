"""Secure aggregation (SecAgg: Bonawitz et al., eprint 2017/281, against a server that keeps to the protocol).

Device u of a round of n sends its integers x_u, whose sum is below the modulus R = 2^k, as

    y_u = x_u + PRG(b_u) + sum over v > u of PRG(s_uv) - sum over v < u of PRG(s_uv)  mod R

where s_uv is the key that u and v agree on, and b_u is u's own. Pairwise masks cancel in the sum of all. Of who has
answered, t others tell their shares of b_u; of who has not, those of the private key, from which its pairwise masks
follow. Nobody tells both of one device.

Every party here computes what it needs of others from the run's keyed streams: public keys and shares do not travel
between processes, and shares are not encrypted. What they would cost is in `raygan.channel.stages`.
"""

from collections.abc import Sequence

import numpy as np

from raygan.config.aggregation import SecAgg, secagg_of
from raygan.config.privacy import UserLevel
from raygan.config.tree import Config
from raygan.errors import RunError
from raygan.methods.messages import Mean
from raygan.secure.keys import SECRET_BYTES, DeviceKeys, agreed, mask_of
from raygan.secure.quantizer import FixedPoint, modular, signed, word_of
from raygan.secure.shamir import secret_of, shares, weights_at_zero


class TooFewError(ValueError):
    """So many devices are missing that the sum of a round cannot be unmasked."""


class SecureSum:
    """The protocol of a run, for all its parties. It keeps nothing from round to round but public keys at hand."""

    def __init__(self, settings: SecAgg, seed: int, size: int, toward_zero: bool) -> None:
        """`size` is the length of an update; `toward_zero`: quantising makes no value larger."""
        self._settings = settings
        self._seed = seed
        self._grid = FixedPoint(settings.clip, settings.bits, toward_zero)
        self._weighted = settings.max_weight > 1
        self.size = size + self._weighted
        """Length of a message: the update, and its weight if not all are 1."""
        self._keys: dict[int, DeviceKeys] = {}
        self._round = 0

    def word(self, cohort: Sequence[int]) -> type[np.unsignedinteger]:
        """Returns the type of a message's integers in a round of these devices."""
        return word_of(self._settings.modulus_bits(len(cohort)))

    def integers(self, vector: np.ndarray, start: np.ndarray | None, weight: int) -> np.ndarray:
        """Returns x_u, (self.size,) int64: `weight` times the update's difference to `start` (None: zeros).

        Raises:
            RunError: its weight is more than the modulus has room for.
        """
        if weight > self._settings.max_weight:
            raise RunError(
                f"aggregation.secure.max_weight: an update weighs {weight}, more than {self._settings.max_weight}; "
                "set so much, or uniform weights",
                code="result",
            )
        change = vector.astype(np.float64)
        if start is not None:
            change -= start
        whole = self._grid.integers(change) * weight
        return np.append(whole, weight) if self._weighted else whole

    def masked(self, integers: np.ndarray, device: int, round: int, cohort: Sequence[int]) -> np.ndarray:
        """Returns y_u of one of `cohort`, the devices that have shared keys in this round: (self.size,) of `word`."""
        bits, word = self._settings.modulus_bits(len(cohort)), self.word(cohort)
        own = self._keys_of(device, round)
        sent = modular(integers, bits)
        sent += mask_of(own.own, self.size, word)
        for other in cohort:
            if other != device:
                _add_pairwise(sent, own.private, device, self._keys_of(other, round).public, other)
        sent &= word(2**bits - 1)
        return sent

    def unmasked(self, total: np.ndarray, answered: Sequence[int], round: int, cohort: Sequence[int]) -> np.ndarray:
        """Returns the sum of x_u over the devices of `cohort` that have `answered`, (self.size,) int64.

        `total` is the sum of their messages.

        Raises:
            TooFewError: fewer have answered than the threshold asks for.
        """
        needed = self._settings.needed(len(cohort))
        if len(answered) < needed:
            raise TooFewError(
                f"{len(answered)} of {len(cohort)} devices have answered, and their sum is unmasked from "
                f"{needed} on (aggregation.secure.threshold={self._settings.threshold:g})"
            )
        bits, word = self._settings.modulus_bits(len(cohort)), self.word(cohort)
        total = total.astype(word)
        points = {device: point for point, device in enumerate(sorted(cohort), start=1)}
        helpers = [points[device] for device in sorted(answered)[:needed]]
        weights, here = weights_at_zero(helpers), set(answered)
        for device in cohort:
            told = self._told(device, round, helpers, device in here)
            key = secret_of(weights, told).to_bytes(SECRET_BYTES, "little")
            if device in here:
                total -= mask_of(key, self.size, word)
                continue
            for other in answered:  # takes out what `other` has added for the one that is missing
                _add_pairwise(total, key, device, self._keys_of(other, round).public, other)
        return signed(total, bits)

    def mean(self, integers: np.ndarray, answered: int, start: np.ndarray) -> Mean:
        """Returns the mean update of so many devices from the sum of their x_u; `start` is (size,), as theirs."""
        weight = int(integers[-1]) if self._weighted else answered
        change = self._grid.values(integers[: len(start)]) / weight
        return Mean((start + change).astype(np.float32), weight)

    def _told(self, device: int, round: int, helpers: Sequence[int], answered: bool) -> list[int]:
        """Returns the shares that the devices at these points tell of one that has answered, or that has not."""
        keys = self._keys_of(device, round)
        of_private, of_own = keys.coefficients(len(helpers))
        secret, coefficients = (keys.own, of_own) if answered else (keys.private, of_private)
        return shares(int.from_bytes(secret, "little"), coefficients, helpers)

    def _keys_of(self, device: int, round: int) -> DeviceKeys:
        if round != self._round:
            self._round, self._keys = round, {}
        if device not in self._keys:
            self._keys[device] = DeviceKeys(self._seed, device, round)
        return self._keys[device]


def secure_sum_of(config: Config, size: int) -> SecureSum | None:
    """Returns the protocol of a config for updates of `size` values, or None if it has none.

    With user-level privacy integers are rounded toward zero: then no update's norm exceeds what it was clipped to.
    """
    settings, private = secagg_of(config), isinstance(config.privacy, UserLevel)
    return None if settings is None else SecureSum(settings, config.seed, size, toward_zero=private)


def _add_pairwise(vector: np.ndarray, private: bytes, device: int, public: bytes, other: int) -> None:
    """Add the mask that a device, whose private key this is, adds for another one."""
    mask = mask_of(agreed(private, public), len(vector), vector.dtype.type)
    if other > device:
        vector += mask
    else:
        vector -= mask
