"""Mode coverage of a 2-D mixture of Gaussians, counted exactly."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class ModeCoverage:
    """Coverage of the mixture's modes by generated points."""

    modes_found: int
    """Modes with at least one point within three standard deviations."""
    high_quality: float
    """Share of points within three standard deviations of their nearest mode (Srivastava et al., 1705.07761)."""
    reverse_kl: float
    """KL divergence of the generated points' modes from the uniform mixture (nats); 0 is best."""


def mode_coverage(points: np.ndarray, centres: np.ndarray, std: float) -> ModeCoverage:
    """Returns the coverage, by `points` (N, 2), of equal Gaussians at `centres` (M, 2) with deviation `std`."""
    distance = np.linalg.norm(points[:, None] - centres[None], axis=2)
    nearest, near = distance.argmin(axis=1), distance.min(axis=1) <= 3 * std
    share = np.bincount(nearest, minlength=len(centres)) / len(points)
    positive = share[share > 0]
    return ModeCoverage(
        modes_found=len(np.unique(nearest[near])),
        high_quality=float(near.mean()),
        reverse_kl=float((positive * np.log(positive * len(centres))).sum()),
    )
