"""The interface of a tracker, and what it remembers in a run folder."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from raygan.files import write_whole
from raygan.record.folder import RunFolder

Status = Literal["finished", "stopped", "failed"]
_FILE = "tracking.json"


class Sink(ABC):
    """One run of a tracker. Its calls may wait for a server: they are made in a thread beside the rounds."""

    @abstractmethod
    def metrics(self, values: Mapping[str, float], round: int) -> None:
        """Add scalars of a round."""

    @abstractmethod
    def picture(self, path: Path, round: int) -> None:
        """Add the sample grid of a round."""

    @abstractmethod
    def file(self, path: Path) -> None:
        """Add a file of the run folder."""

    @abstractmethod
    def close(self, status: Status) -> None:
        """End the run there."""


def remembered(folder: RunFolder, tracker: str) -> str | None:
    """Returns the id of the run that a tracker was given before, so that a resumed run goes on there."""
    try:
        found = json.loads((folder.root / _FILE).read_text(encoding="utf-8")).get(tracker)
    except (OSError, ValueError, AttributeError):
        return None
    return found if isinstance(found, str) else None


def remember(folder: RunFolder, tracker: str, run: str) -> None:
    """Keep the id of a tracker's run."""
    path, ids = folder.root / _FILE, {}
    if path.is_file():
        ids = json.loads(path.read_text(encoding="utf-8"))
    text = json.dumps(ids | {tracker: run})
    write_whole(path, lambda aside: aside.write_text(text, encoding="utf-8"))
