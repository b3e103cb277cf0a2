"""Thinning of long series to a screen's resolution."""

from itertools import pairwise

import numpy as np
import pandas as pd

STRETCHES = 400
"""A series that is longer than two points for each is thinned."""


def thinned(table: pd.DataFrame, columns: list[str]) -> pd.DataFrame:
    """Returns the first and the last row, and the rows with each column's extremes in `STRETCHES` equal parts."""
    if len(table) <= 2 * STRETCHES:
        return table
    kept = {0, len(table) - 1}
    for column in columns:
        values = table[column].to_numpy(dtype=float)
        for start, stop in pairwise(np.linspace(0, len(values), STRETCHES + 1).astype(int)):
            (finite,) = np.isfinite(values[start:stop]).nonzero()
            if len(finite):
                part = values[start + finite]
                kept |= {int(start + finite[part.argmin()]), int(start + finite[part.argmax()])}
    return table.iloc[sorted(kept)]


def thinning_note(count: int, what: str) -> str:
    """Returns a note for curves over `count` rounds or evaluations; empty if all are drawn."""
    if count <= 2 * STRETCHES:
        return ""
    return (
        f"Of {count:,} {what} the curves draw the lowest and the highest value of each stretch of "
        f"{count / STRETCHES:.3g}, and the first and the last."
    )
