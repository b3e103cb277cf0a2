"""Keys that two devices agree on (X25519, RFC 7748), and masks made of them (ChaCha20, RFC 8439), by `cryptography`.

Secrets are drawn from the run's keyed streams, so that rounds repeat. That is for a simulation: who knows the seed of
the run knows every mask.
"""

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from importlib.util import find_spec

import numpy as np

from raygan.errors import InputError
from raygan.rng import Role, stream
from raygan.secure.shamir import PRIME

SECRET_BYTES = 32
_COEFFICIENT_BYTES = 48  # so that the remainder modulo the prime is uniform, but for 2^-127


@dataclass(frozen=True)
class DeviceKeys:
    """What one device draws for one round."""

    seed: int
    """The seed of the run."""
    device: int
    round: int

    @cached_property
    def _drawn(self) -> bytes:
        return self._random(0).bytes(2 * SECRET_BYTES)

    @property
    def private(self) -> bytes:
        """Its private key, of which pairwise masks are made."""
        return self._drawn[:SECRET_BYTES]

    @property
    def own(self) -> bytes:
        """The key of its own mask, which hides its update where the private key becomes known."""
        return self._drawn[SECRET_BYTES:]

    @cached_property
    def public(self) -> bytes:
        """Its public key."""
        return public_of(self.private)

    def coefficients(self, threshold: int) -> tuple[list[int], list[int]]:
        """Returns the random coefficients of the polynomials for its private key and its own mask's key."""
        random = self._random(1)
        drawn = [int.from_bytes(random.bytes(_COEFFICIENT_BYTES), "little") % PRIME for _ in range(2 * threshold - 2)]
        return drawn[: threshold - 1], drawn[threshold - 1 :]

    def _random(self, purpose: int) -> np.random.Generator:
        return stream(self.seed, Role.SECURE, 2 * self.device + purpose, self.round)


def public_of(private: bytes) -> bytes:
    """Returns the public key of a private one, 32 bytes each."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def agreed(private: bytes, public: bytes) -> bytes:
    """Returns the key that the holders of these two keys agree on, 32 bytes: the same from either end."""
    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

    shared = X25519PrivateKey.from_private_bytes(private).exchange(X25519PublicKey.from_public_bytes(public))
    return sha256(b"pairwise mask" + shared).digest()


def mask_of(key: bytes, size: int, word: type[np.unsignedinteger]) -> np.ndarray:
    """Returns the mask that a key of 32 bytes stands for: (size,) uniform numbers of `word`."""
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20

    kind = np.dtype(word).newbyteorder("<")
    once = bytes(16)  # counter and nonce: no key is used twice
    drawn = Cipher(ChaCha20(key, once), mode=None).encryptor().update(bytes(size * kind.itemsize))
    return np.frombuffer(drawn, kind)


def check_cryptography() -> None:
    """Raise InputError if `cryptography` is not installed."""
    if find_spec("cryptography") is None:
        raise InputError(
            "aggregation.secure.name: secagg takes its keys from cryptography; pip install 'raygan[secure]'",
            code="package",
        )
