"""Rates of the links between the devices and the server, round by round."""

from abc import ABC, abstractmethod

import numpy as np

from raygan.config.simulation import Constant
from raygan.config.tree import Config


class Links(ABC):
    """The links of all devices. Every answer is a function of the config and the round alone."""

    def __init__(self, config: Config) -> None:
        self.config = config
        self.seed = config.seed if config.channel.seed is None else config.channel.seed

    @abstractmethod
    def quality(self, round: int) -> np.ndarray:
        """Returns the rates that selection ranks by: each uplink with the whole band, (K,) bit/s, 0 or more."""

    def out_of_reach(self, round: int) -> np.ndarray:
        """Returns the devices that would miss the round because they cannot receive or send, (K,) bool.

        The server knows them beforehand: it sends them nothing and does not wait for them, and the other devices share
        their band. Rates are only asked for those other devices.
        """
        return np.zeros(self.config.devices, bool)

    @abstractmethod
    def uplink(self, round: int, devices: np.ndarray) -> np.ndarray:
        """Returns the rates at which `devices` send at the same time, (n,) bit/s."""

    @abstractmethod
    def downlink(self, round: int, devices: np.ndarray) -> np.ndarray:
        """Returns the rates at which `devices` receive different content at the same time, (n,) bit/s."""

    @abstractmethod
    def broadcast(self, round: int, devices: np.ndarray) -> float:
        """Returns the rate at which the same content reaches all of `devices` (bit/s)."""


class NoLinks(Links):
    """Links that take no time."""

    def quality(self, round: int) -> np.ndarray:
        """Returns the same rate for every device."""
        return np.full(self.config.devices, np.inf)

    def uplink(self, round: int, devices: np.ndarray) -> np.ndarray:
        """At once."""
        return np.full(len(devices), np.inf)

    def downlink(self, round: int, devices: np.ndarray) -> np.ndarray:
        """At once."""
        return np.full(len(devices), np.inf)

    def broadcast(self, round: int, devices: np.ndarray) -> float:
        """At once."""
        return float("inf")


class ConstantLinks(Links):
    """Links of fixed rates, an uplink and a downlink per device."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        channel = config.channel
        assert isinstance(channel, Constant)
        self._up = np.broadcast_to(np.array(channel.uplink_bps), config.devices)
        self._down = np.broadcast_to(np.array(channel.downlink_bps), config.devices)

    def quality(self, round: int) -> np.ndarray:
        """The uplinks' rates."""
        return self._up

    def uplink(self, round: int, devices: np.ndarray) -> np.ndarray:
        """As configured."""
        rates: np.ndarray = self._up[devices]
        return rates

    def downlink(self, round: int, devices: np.ndarray) -> np.ndarray:
        """As configured."""
        rates: np.ndarray = self._down[devices]
        return rates

    def broadcast(self, round: int, devices: np.ndarray) -> float:
        """The slowest downlink."""
        return float(self._down[devices].min())
