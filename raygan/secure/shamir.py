"""Shamir's secret sharing (CACM 22(11), 1979) over a prime field: any t shares tell a secret, t - 1 tell nothing.

A secret is the value at 0 of a polynomial of degree t - 1 whose other coefficients are random; a share is its value at
another point.
"""

from collections.abc import Iterable, Sequence

PRIME = 2**256 + 297
"""The smallest prime above every secret of 32 bytes."""
SHARE_BYTES = 33


def shares(secret: int, coefficients: Sequence[int], points: Iterable[int]) -> list[int]:
    """Returns the shares of `secret` at `points`, none of them 0; t - 1 random `coefficients` make the threshold t."""
    found = []
    for point in points:
        value = 0
        for coefficient in reversed(coefficients):
            value = (value + coefficient) * point % PRIME
        found.append((value + secret) % PRIME)
    return found


def weights_at_zero(points: Sequence[int]) -> list[int]:
    """Returns what shares at `points` are multiplied by to add up to the secret (Lagrange's coefficients at 0)."""
    weights = []
    for point in points:
        above, below = 1, 1
        for other in points:
            if other != point:
                above = above * other % PRIME
                below = below * (other - point) % PRIME
        weights.append(above * pow(below, -1, PRIME) % PRIME)
    return weights


def secret_of(weights: Sequence[int], known: Sequence[int]) -> int:
    """Returns the secret of t shares or more, with the `weights_at_zero` of their points."""
    return sum(weight * share for weight, share in zip(weights, known, strict=True)) % PRIME
