"""Tune's population-based bandits, restricted to the space of a sweep."""

from typing import Any

from ray.tune.schedulers.pb2 import PB2

from raygan.sweep.ranges import NumberRange, Settings
from raygan.sweep.spec import Sweep


class BoundedPb2(PB2):
    """Tune's PB2, with suggestions replaced by the nearest values in the space.

    Tune rounds suggestions to float32, which may pass an end of a range, and it does not support steps.
    """

    def __init__(self, sweep: Sweep, **options: Any) -> None:
        self._ranges = {key: domain for key, domain in sweep.space.items() if isinstance(domain, NumberRange)}
        bounds: dict[str, Any] = {key: list(domain.ends) for key, domain in self._ranges.items()}
        super().__init__(hyperparam_bounds=bounds, custom_explore_fn=self._into_space, **options)

    def _into_space(self, config: Settings) -> Settings:
        """Tune's hook, called after its own exploration."""
        inside = {key: domain.nearest(config[key]) for key, domain in self._ranges.items()}
        if any(config[key] != value for key, value in inside.items()):
            # The last row holds this suggestion; if it differed, PB2 would not count it in the history it learns from.
            self.data.loc[self.data.index[-1], list(inside)] = list(inside.values())
        return config | inside
