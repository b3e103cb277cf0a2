"""What the lines of a plan are made of."""

PlanLine = tuple[str, str]
"""Its name, and what it says."""


def size(count: float) -> str:
    """Returns a number of bytes for a person."""
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if count >= 0.0995 * unit:
            return f"{count / unit:.{1 if count >= 10 * unit else 2}f} {name}"
    return f"{count / 1e3:.0f} kB"
