"""Which round's model each device has, and so what it is sent for the next, where codes of changes go down.

A device that has the model of round v needs the codes of rounds v + 1 to r for that of round r. If these are more bits
than the model, or it has none, it is sent the model whole. This is how Artemis lets devices catch up (Philippenko and
Dieuleveut, arXiv 2006.14591); a server that keeps the last updates for them is from Sattler et al., arXiv 1903.02891.
"""

import numpy as np

from raygan.channel.traffic import Traffic


class Copies:
    """Without codes, everyone is sent everything whole."""

    def __init__(self, traffic: Traffic, value_bits: int, devices: int) -> None:
        self.whole_bits = traffic.down * value_bits + traffic.down_bits
        """Bits of all that goes down."""
        self.code_bits = 0
        """Bits of a code."""
        self.newest_bits = 0
        """Bits of the newest code, and of what is sent as it is."""
        self._has: np.ndarray | None = None  # the round whose model a device has, (K,); 0: it has none
        if traffic.coded is not None:
            self._model_bits = traffic.coded.values * value_bits
            self.code_bits = traffic.coded.bits
            self.newest_bits = self.whole_bits - self._model_bits + self.code_bits
            self._has = np.zeros(devices, np.int64)

    def codes(self, round: int, devices: np.ndarray) -> np.ndarray:
        """Returns the number of codes that each device is sent for the model of `round`, (n,) int64; 0: the model."""
        if self._has is None:
            return np.zeros(len(devices), np.int64)
        missing = round - self._has[devices]
        whole = (self._has[devices] == 0) | (missing * self.code_bits > self._model_bits)
        return np.where(whole, 0, missing)

    def bits(self, codes: np.ndarray) -> np.ndarray:
        """Returns the bits that devices are sent, (n,) int64, with so many codes."""
        return np.where(codes == 0, self.whole_bits, self.newest_bits + (codes - 1) * self.code_bits)

    def received(self, round: int, devices: np.ndarray) -> None:
        """Note that devices have the model of `round`."""
        if self._has is not None:
            self._has[devices] = round
