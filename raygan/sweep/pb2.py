"""Tune's population-based bandits, kept in the space that a sweep says."""

from typing import Any

from ray.tune.schedulers.pb2 import PB2

from raygan.sweep.ranges import Range, Settings
from raygan.sweep.spec import Sweep


class BoundedPb2(PB2):
    """Tune's PB2, whose finds become the nearest values of the space.

    Tune rounds what it finds to float32, and so beyond an end; of steps it knows nothing.
    """

    def __init__(self, sweep: Sweep, **options: Any) -> None:
        self._ranges = {key: domain for key, domain in sweep.space.items() if isinstance(domain, Range)}
        bounds: dict[str, Any] = {key: list(domain.ends) for key, domain in self._ranges.items()}
        super().__init__(hyperparam_bounds=bounds, custom_explore_fn=self._into_space, **options)

    def _into_space(self, config: Settings) -> Settings:
        """Tune's hook behind its own exploring."""
        inside = {key: domain.nearest(config[key]) for key, domain in self._ranges.items()}
        if any(config[key] != value for key, value in inside.items()):
            # The last row is of this find: as another it would be no part of the history that is learnt from.
            self.data.loc[self.data.index[-1], list(inside)] = list(inside.values())
        return config | inside
