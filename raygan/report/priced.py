"""Runs as they would have been timed with other links or computing speeds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from raygan.config import Config
from raygan.record.log import Row


@dataclass(frozen=True)
class Priced:
    """What is laid over a run's own config and rows."""

    words: Sequence[str]
    """The `key=value` words that make the difference."""
    config: Config
    """The run's own below these words."""
    rows: Sequence[Row]
    """Simulated seconds and bytes of each round from 0; what was recorded behind them is left out."""
    others: int
    """Rounds in which other devices would have taken part: these are paid for, but have not trained."""

    def over(self, rows: Sequence[Row]) -> list[Row]:
        """Recorded rows, at this price."""
        return [row | priced for row, priced in zip(rows, self.rows, strict=False)]


def notes_on_price(priced: Iterable[tuple[str, Priced]]) -> list[str]:
    """What a reader of a page must know of the runs on it, by name; nothing where there are none."""
    notes: list[str] = []
    for name, one in priced:
        if not notes:
            words = ", ".join(one.words)
            notes.append(
                f"Simulated seconds, bytes and settings are those with {words} in every run. The training, and with it "
                "the quality after each round, is as it was."
            )
        if one.others:
            notes.append(
                f"{name}: with that, other devices would have taken part in {one.others:,} of {len(one.rows) - 1:,} "
                "rounds; seconds and bytes are of these devices, the training is not."
            )
    return notes
