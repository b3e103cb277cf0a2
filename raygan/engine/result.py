"""What a run came to."""

from dataclasses import dataclass
from pathlib import Path
from signal import Signals

from raygan.run_folder import Row, RunFolder


@dataclass(frozen=True)
class Result:
    """What a run came to."""

    out: Path
    """The run folder; of a run at a URI, the copy on this machine."""
    round: int
    """The last round played."""
    stopped_by: Signals | None
    """The signal that ended the run early, if one did."""
    uri: str | None = None
    """Where the run folder is kept, if not on this machine."""

    @property
    def generator(self) -> Path:
        """The trained generator's file."""
        return RunFolder(self.out).generator

    @property
    def rows(self) -> list[Row]:
        """The lines of metrics.jsonl."""
        return RunFolder(self.out).rows()

    @property
    def evaluations(self) -> list[Row]:
        """The lines of the rounds that were evaluated, round 0 first."""
        evaluated = {path.stem for path in RunFolder(self.out).samples.glob("round_*.png")}
        return [row for row in self.rows if f"round_{row['round']:06d}" in evaluated]

    @property
    def picture(self) -> Path | None:
        """The newest sample grid."""
        return max(RunFolder(self.out).samples.glob("round_*.png"), default=None)
