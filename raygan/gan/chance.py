"""What chance decides in a step beside its batch: how samples are augmented, and whether it has the lazy penalties.

The numbers come from the streams of one party in one round (`raygan.rng`), so a round can be played again anywhere.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from raygan.config.gan import Gan
from raygan.errors import RunError
from raygan.gan.augmentation import draw_changes
from raygan.gan.transfer import uploaded
from raygan.rng import Role, stream


class Chance:
    """The random numbers of a process's steps, in the party's and round's turn."""

    def __init__(self, gan: Gan, seed: int, shape: tuple[int, ...]) -> None:
        self._gan = gan
        self._seed = seed
        self._shape = shape
        self.adapts = gan.augment == "ada"
        self._policy = () if gan.augment == "none" else gan.augment_policy
        self.p = 0.0 if self.adapts else 1.0
        """Probability of each change."""
        self.alone = True
        """Whether no other party's steps are taken meanwhile, so that torch's own random stream may be the party's."""
        self._changes: np.random.Generator | None = None
        self._turn = 0, 0
        self._normal: np.random.Generator | None = None
        self._steps = 0
        self._signs: list[Tensor] = []

    @contextmanager
    def of(self, role: Role, device: int = 0, round: int = 0) -> Iterator[None]:
        """Let the steps inside the block be those of a party in a round."""
        before = self._changes, self._turn, self._normal, self._steps
        self._changes = stream(self._seed, role, device, round) if self._policy else None
        self._turn, self._normal = (device, round), None
        # Where in the row of lazy steps a round begins is drawn: devices that take part seldom, or take fewer steps a
        # round than lie between two penalties, would have them always or never.
        if self._gan.penalty_every > 1:
            self._steps = int(stream(self._seed, Role.LAZY_PENALTY, device, round).integers(self._gan.penalty_every))
        try:
            yield
        finally:
            self._changes, self._turn, self._normal, self._steps = before

    def changes(self, count: int, device: torch.device) -> Tensor | None:
        """Returns the changes of `count` samples, (count, 8) on `device`; None if there are none to make.

        Raises:
            RunError: a step of a method of one's own, outside of `of`.
        """
        if not self._policy or self.p == 0:
            return None
        if self._changes is None:
            raise RunError(
                "gan.augment: this method takes a step outside of raygan.methods.local.local_batches; put `with "
                "networks.chance.of(role, device, round)` around it"
            )
        return uploaded(draw_changes(self._policy, self.p, count, self._shape, self._changes), device)

    def normal(self, count: int) -> np.ndarray:
        """Returns the noise of a private step inside of `of`, (count,) float32 of variance 1."""
        if self._normal is None:  # few runs need it
            self._normal = stream(self._seed, Role.RECORD_NOISE, *self._turn)
        return self._normal.standard_normal(count, dtype=np.float32)

    def penalised(self) -> bool:
        """Returns whether the next discriminator step has R1 and R2, and counts it."""
        due = self._steps % self._gan.penalty_every == 0
        self._steps += 1
        return due and bool(self._gan.r1 or self._gan.r2)

    def note(self, signs: list[Tensor]) -> None:
        """Remember a step's mean sign of the logits of real samples."""
        self._signs += signs

    def mean_sign(self) -> float:
        """Returns the mean over the steps since it was asked last, 0 over none; waits for their computation."""
        signs, self._signs = self._signs, []
        return float(torch.stack(signs).mean()) if signs else 0.0
