"""A single cell: path loss, shadowing, Rayleigh block fading, Shannon rates.

    rate = B log2(1 + P g / (N0 F B)),   g = 10^(-loss / 10) |h|^2,   |h|^2 exponential with mean 1

with the receiver's noise figure F. A link is in outage in a round whose |h|^2 is below -ln(1 - epsilon), which has the
probability epsilon (the epsilon-outage of Rayleigh fading, Tse and Viswanath, Fundamentals of Wireless Communication,
section 5.4.1; leaving out fades below a cutoff is from Goldsmith and Varaiya, IEEE T-IT 43(6), 1997). The device then
misses the round, which is our reading. Without outage, 1/rate and so the time of a round have no finite mean, because
deep fades dominate them. Uplink: each of n senders has B/n of the band and its full power. Broadcast: the whole band
and power, at the slowest receiver's rate. Different content for each device: B/n and P/n each. Fading is drawn anew in
each round, independently for the two directions (frequency division).
"""

from functools import lru_cache

import numpy as np

from raygan.channel.links import Links
from raygan.config.simulation import Wireless
from raygan.config.tree import Config
from raygan.rng import Role, stream


class WirelessLinks(Links):
    """Devices at random places in a disc around the server's base station."""

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        cell = config.channel
        assert isinstance(cell, Wireless)
        self._cell = cell
        random = stream(self.seed, Role.PLACEMENT)
        area = random.uniform(cell.min_distance_m**2, cell.radius_m**2, config.devices)
        self.distance_m = np.sqrt(area)
        shadowing = cell.shadowing_db * random.standard_normal(config.devices)
        loss = cell.path_loss_db_at_1km + 10 * cell.path_loss_exponent * np.log10(self.distance_m / 1000) + shadowing
        self._up = _watts(cell.device_power_dbm - loss) / _watts(cell.noise_dbm_per_hz + cell.server_noise_figure_db)
        self._down = _watts(cell.server_power_dbm - loss) / _watts(cell.noise_dbm_per_hz + cell.device_noise_figure_db)
        self._cutoff = -np.log1p(-cell.outage_probability)
        self._state = lru_cache(maxsize=1)(self._draw)  # one draw serves every question about a round

    def out_of_reach(self, round: int) -> np.ndarray:
        """Returns the devices whose fade is below the cutoff in either direction."""
        return self._state(round)[2]

    def quality(self, round: int) -> np.ndarray:
        """Returns the uplink rates over the whole band; 0 for devices out of reach."""
        up, _ = self._received(round)
        return np.where(self.out_of_reach(round), 0.0, _shannon(self._cell.bandwidth_hz, up))

    def uplink(self, round: int, devices: np.ndarray) -> np.ndarray:
        """Returns the rates in equal shares of the band."""
        up, _ = self._received(round)
        return _shannon(self._cell.bandwidth_hz / len(devices), up[devices])

    def downlink(self, round: int, devices: np.ndarray) -> np.ndarray:
        """Returns the rates in equal shares of band and power."""
        _, down = self._received(round)
        return _shannon(self._cell.bandwidth_hz / len(devices), down[devices] / len(devices))

    def broadcast(self, round: int, devices: np.ndarray) -> float:
        """Returns the slowest receiver's rate over the whole band."""
        _, down = self._received(round)
        return float(_shannon(self._cell.bandwidth_hz, down[devices]).min())

    def _received(self, round: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns received power over noise density (up, down) of all devices in this round's fading, (K,) Hz each."""
        return self._state(round)[:2]

    def _draw(self, round: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the received powers as in `_received`, and the devices out of reach."""
        fading = self._fading(round)
        return self._up * fading[0], self._down * fading[1], (fading < self._cutoff).any(axis=0)

    def _fading(self, round: int) -> np.ndarray:
        """Returns |h|^2 of the uplinks and the downlinks in this round, (2, K)."""
        return stream(self.seed, Role.FADING, round=round).standard_exponential((2, self.config.devices))


def _watts(dbm: float | np.ndarray) -> np.ndarray:
    return 10 ** ((np.asarray(dbm) - 30) / 10)


def _shannon(bandwidth: float, received: np.ndarray) -> np.ndarray:
    """Returns the rate (bit/s) over `bandwidth` Hz for a received power of `received` times the noise density."""
    rate: np.ndarray = bandwidth * np.log1p(received / bandwidth) / np.log(2)
    return rate
