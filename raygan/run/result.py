"""The result of a run, as Python code has it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from signal import Signals
from typing import TYPE_CHECKING, Any

from raygan.files import is_uri
from raygan.record.folder import RunFolder
from raygan.record.log import Row
from raygan.record.remote import naming_uri
from raygan.record.storage import copied

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

    from raygan.evaluation.trained import TrainedGenerator
    from raygan.record.generator_file import Weights


@dataclass(frozen=True)
class Result:
    """The result of a run."""

    out: Path
    """The run folder; of a run at a URI, the copy on this machine."""
    round: int
    """The last round."""
    stopped_by: Signals | None
    """The signal that asked for the end, if one did: after the last round, too, when there was nothing to cut short."""
    uri: str | None = None
    """The URI of the run folder, if it is not kept on this machine."""
    complete: bool = True
    """True if all rounds of the config are done."""

    @property
    def generator(self) -> Path:
        """The trained generator's file."""
        return RunFolder(self.out).generator

    @property
    def rows(self) -> list[Row]:
        """The rows of the log."""
        return RunFolder(self.out).log.rows()

    @property
    def metrics(self) -> "pd.DataFrame":
        """The rows of the log as a table, a row per round; what was not measured in a round is NaN."""
        import pandas as pd

        rows = self.rows
        return pd.DataFrame(rows, index=pd.Index([row["round"] for row in rows], name="round")).drop(
            columns="round", errors="ignore"
        )

    @property
    def evaluations(self) -> list[Row]:
        """The lines of the rounds that were evaluated, round 0 first."""
        return [row for row in self.rows if "eval_samples" in row]

    @property
    def picture(self) -> Path | None:
        """The newest sample grid."""
        return RunFolder(self.out).newest_picture

    def load_generator(self, weights: "Weights" = "ema", generator: str | None = None) -> "TrainedGenerator":
        """The trained generator, as a module; see `raygan.load_generator`."""
        from raygan.evaluation.trained import load_trained

        return load_trained(self.generator, weights, generator)

    def samples(
        self,
        count: int,
        seed: int | None = None,
        generator: str | None = None,
        labels: int | Sequence[int] | None = None,
    ) -> Any:
        """Samples of the averaged generator as a numpy array.

        Images (count, H, W) or (count, H, W, 3) uint8, points (count, 2) float32. Without a seed they are those of the
        run's sample grids. `generator` names a network of your own again. `labels` are the
        classes of the samples, with a condition: one for all, or one each.
        """
        from raygan.gan.batches import to_bytes

        drawn = self._draw(count, seed, generator, labels)
        if drawn.dim() == 2:
            return drawn.numpy()
        pixels = to_bytes(drawn).transpose(0, 2, 3, 1)
        return pixels[..., 0] if pixels.shape[-1] == 1 else pixels

    def grid(self, count: int = 64, seed: int | None = None, generator: str | None = None) -> "Image":
        """A picture of `samples`, which a notebook shows."""
        import math

        from raygan.evaluation.drawing import picture_of

        return picture_of(self._draw(count, seed, generator), columns=math.isqrt(count - 1) + 1)

    def report(self, out: str | Path | None = None) -> Path:
        """Write the page that `raygan report` writes, into the run folder if it is not said where."""
        from raygan.report.run.page import write_report

        return write_report(self.out, Path(out) if out is not None else self.out / "report.html")

    def _draw(
        self, count: int, seed: int | None, generator: str | None, labels: int | Sequence[int] | None = None
    ) -> Any:
        chosen = RunFolder(self.out).read_config().seed if seed is None else seed
        return self.load_generator(generator=generator).sample(count, chosen, labels)


def reopened(out: str | Path) -> Result:
    """The result of an earlier run, in a folder or at a URI (of which a copy is made, for this process).

    Raises:
        InputError: it is not a run folder, or cannot be reached.
    """
    uri = str(out).rstrip("/") if is_uri(out) else None
    local = copied(uri) if uri is not None else Path(out).resolve()
    with naming_uri(local, uri):
        folder = RunFolder(local)
        rounds, last = folder.read_config().rounds, max(folder.log.last_round(), 0)
        return Result(local, last, None, uri, last >= rounds)
