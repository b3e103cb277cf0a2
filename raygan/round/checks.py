"""Checks of what a method's code returns; the place in the run of what it raises."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch

from raygan.components import METHODS, resolve
from raygan.config.privacy import UserLevel
from raygan.config.tree import Config
from raygan.errors import InputError, RunError, place_of
from raygan.methods.adaptive import adaptive
from raygan.methods.base import Method, Metrics, State, Update
from raygan.methods.proximal import with_proximal
from raygan.methods.scaffold import with_scaffold
from raygan.methods.server_optimizer import with_server_optimizer
from raygan.privacy.adaptive_clip import with_adaptive_clip


def method_of(config: Config) -> Method:
    """The config's method, with what the config sets around it.

    Raises:
        InputError: an import path that does not lead to a `Method`.
    """
    method = resolve(METHODS, config.method, "method")
    if not isinstance(method, Method):
        raise InputError(
            f"method: {config.method} is a {type(method).__name__}, but a raygan Method is needed", code="kind"
        )
    if config.server_optimizer.name != "none":
        method = with_server_optimizer(method)
    if config.scaffold.option != "none":
        method = with_scaffold(method)
    if config.proximal.mu:
        method = with_proximal(method)
    if config.gan.augment == "ada":
        method = adaptive(method)
    if isinstance(config.privacy, UserLevel) and config.privacy.clip_quantile is not None:
        method = with_adaptive_clip(method, config.privacy)  # outermost: all that a server takes over is private
    return method


class located:  # noqa: N801 (a context manager that is entered for each move of each device, so not a generator)
    """Says of an exception where in the run it came up."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, Exception) or isinstance(error, InputError | RunError):
            return
        if isinstance(error, torch.OutOfMemoryError):
            raise RunError(
                f"{self._where}: the memory of the GPU that this process may take is used up; raise "
                f"engine.gpus_per_device (of the server: engine.server_gpus), or lower batch_size "
                f"({str(error).partition('. ')[0]})",
                code="resources",
            ) from error
        said = f"{self._where}: {type(error).__name__}: {error} ({place_of(error)})"
        raise RunError(said, code="failed") from error


def checked_answer(answer: object, method: str, device: int) -> tuple[Update, State]:
    """Returns the answer of a device's side, if it is an update and a state.

    Raises:
        RunError: something else; says what is needed.
    """
    if not (isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], Update)):
        made = [type(one).__name__ for one in (answer if isinstance(answer, tuple) else [answer])]
        raise RunError(
            f"method: {method} answered with {', '.join(made)}; an Update and a State are needed", code="result"
        )
    update, state = answer
    update = replace(update, device=device, metrics=check_scalars(update.metrics, method))
    if not (isinstance(state, dict) and all(isinstance(array, np.ndarray) for array in state.values())):
        raise RunError(f"method: {method} keeps {state!r:.80}; a State, numpy arrays by name, is needed", code="result")
    return update, state


def check_scalars(metrics: object, method: str) -> Metrics:
    """Returns the metrics of a method as floats, if they are numbers by name.

    Raises:
        RunError: something else.
    """
    if not (isinstance(metrics, Mapping) and all(isinstance(name, str) for name in metrics)):
        raise RunError(f"method: {method} measured {metrics!r:.80}; numbers by name are needed", code="result")
    for name, value in metrics.items():
        if isinstance(value, bool) or not isinstance(value, int | float | np.floating | np.integer):
            raise RunError(f"method: {method} measured {name}={value!r:.80}; a number is needed", code="result")
    return {name: float(value) for name, value in metrics.items()}
