"""What secure aggregation sends in a round of n devices, in its four stages (Bonawitz et al., eprint 2017/281).

Three are besides the update. Bits per device; keys are of X25519, shares of `raygan.secure.shamir`:

    stage             up                                    down
    advertise keys    2 keys                                2 n keys, the same to all
    share keys        n - 1 ciphertexts, of 2 shares each   as many
    masked input      P k, instead of P q                   what the method sends
    unmask            n shares                              n bits, who has answered; the same to all

P counts the method's values, and the weight if not all are 1. Identities of devices and headers are not counted.
"""

from dataclasses import dataclass, replace

from raygan.channel.traffic import Traffic
from raygan.config.aggregation import SecAgg

KEY_BITS = 8 * 32
SHARE_BITS = 8 * 33
TAG_BITS = 8 * 16
"""What authenticated encryption adds (ChaCha20-Poly1305)."""
CIPHERTEXT_BITS = 2 * SHARE_BITS + TAG_BITS


@dataclass(frozen=True)
class Stage:
    """What each device sends and receives in a stage."""

    up_bits: int
    down_bits: int
    broadcast: bool
    """Whether all receive the same."""


class Stages:
    """The stages of a config."""

    def __init__(self, settings: SecAgg) -> None:
        self._settings = settings

    def before(self, devices: int) -> dict[str, Stage]:
        """Returns the stages before the update, by name, with so many devices."""
        ciphertexts = (devices - 1) * CIPHERTEXT_BITS
        return {
            "advertise_keys": Stage(2 * KEY_BITS, 2 * KEY_BITS * devices, broadcast=True),
            "share_keys": Stage(ciphertexts, ciphertexts, broadcast=False),
        }

    def behind(self, devices: int) -> dict[str, Stage]:
        """Returns those behind it."""
        return {"unmask": Stage(SHARE_BITS * devices, devices, broadcast=True)}

    def masked(self, traffic: Traffic, devices: int, value_bits: int) -> Traffic:
        """Returns a method's traffic whose updates, of `value_bits` a value, go up as integers."""
        values = traffic.up + (self._settings.max_weight > 1)
        masked = values * self._settings.modulus_bits(devices)
        return replace(traffic, up_bits=traffic.up_bits + masked - traffic.up * value_bits)

    def is_unmasked(self, answered: int, devices: int) -> bool:
        """Returns whether enough of the devices have answered."""
        return answered >= self._settings.needed(devices)

    def described(self, devices: int) -> str:
        """Returns the modulus, the threshold and the bytes of each stage but the update, for so many devices."""
        stages = self.before(devices) | self.behind(devices)
        sent = ", ".join(
            f"{name} {-(-stage.up_bits // 8):,} up {-(-stage.down_bits // 8):,} down" for name, stage in stages.items()
        )
        return (
            f"with {devices:,} devices, updates of {self._settings.modulus_bits(devices)} bits a value; "
            f"{self._settings.needed(devices):,} must answer; bytes of each device besides: {sent}"
        )
