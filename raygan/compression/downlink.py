"""The model's way down: codes of its changes, and the server's memory of what they leave out.

Devices hold a copy w of the server's model x. In each round the server sends what the copy lacks, compressed, and all
copies move by it, as does the server's own of them:

    c = C(x - w) is sent;  w = w + c

(EF21-P, Gruntkowska, Tyurin and Richtarik, arXiv 2209.15218. MCM, Philippenko and Dieuleveut, arXiv 2102.12528, also
keeps the server's model apart from that of devices.) x - w is the newest step of x and all that earlier codes have left
out: it is the memory e of error feedback itself, so that a memory beside it would count everything twice. Devices send
differences to w, and x moves by them.

The first copy is x, sent whole.
"""

import numpy as np

from raygan.compression.way import Span, Way, put, size_of, taken
from raygan.config.compression import QsgdChanges
from raygan.config.tree import Config
from raygan.errors import InputError
from raygan.rng import Role, stream


class Downlink(Way):
    """The codec of what a server broadcasts, and one copy for all devices that are up to date."""

    def __init__(self, config: Config, spans: tuple[Span, ...]) -> None:
        """Builds the codec for the model's values, in these parts of what goes down.

        Raises:
            InputError: it cannot be built, or may err by more than what it encodes.
        """
        settings = config.downlink_compression
        super().__init__(settings, "downlink_compression", spans)
        self._seed = config.seed
        size = size_of(spans)
        if isinstance(settings, QsgdChanges) and settings.levels**2 <= size:
            raise InputError(
                f"downlink_compression.levels: {settings.levels} levels of {size} values may err by more than the "
                f"change itself, and the server's memory would grow; take at least {int(size**0.5) + 1}",
                code="value",
            )

    def sent(self, down: np.ndarray, copy: np.ndarray | None, round: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns what devices have of `down` in `round`, (n,) float32, and the model's values in it: the new copy.

        `copy`, (values,) float32, is what they had before; None: nothing. Derived values, buffers and whatever else is
        in `down` are sent as they are.
        """
        model = taken(down, self.spans)
        if copy is None:
            return down, model
        lacking = model - copy
        change = self.decoded(self.coded(lacking, stream(self._seed, Role.DOWNLINK_COMPRESSION, round=round)))
        # A value sent in full is the model's. Its code may hold the value or the change, which take the same bits, but
        # the sum of copy and change may round to a neighbour.
        model = np.where(change == lacking, model, copy) if self._codec.exact else copy + change
        received = down.copy()
        put(received, self.spans, model)
        return received, model
