"""What is checked beyond what the config's types say: before anything is started, and of what was started."""

from collections.abc import Iterable, Mapping
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

import torch

from raygan.config.tree import Config
from raygan.data import ImageSet, load_data
from raygan.errors import InputError
from raygan.metrics.inception import is_inception

_COMPUTES = ("raygan", "torch")


def check_weights(config: Config) -> None:
    """Raise InputError if Inception weights are named but cannot be used."""
    weights = config.eval.inception_weights
    if weights is not None and find_spec("torch_fidelity") is None:
        raise InputError("eval.inception_weights: FID needs torch-fidelity; pip install 'raygan[fid]'")
    if weights is not None:
        check_inception(weights)


def check_inception(weights: Path) -> None:
    """Raise InputError if a file does not hold the Inception weights that FID is defined by, before it is loaded."""
    try:
        known = is_inception(weights)
    except OSError as error:
        raise InputError(f"eval.inception_weights: {weights} cannot be read: {error.strerror or error}") from error
    if not known:
        raise InputError(
            f"eval.inception_weights: {weights} is not pt_inception-2015-12-05-6726825d.pth: its SHA-256 is another; "
            "distances on other weights are no FID, and an unknown file is not loaded"
        )


def load_again(config: Config) -> ImageSet:
    """The data of a run that was begun before.

    Raises:
        InputError: it is not there, or not readable; where it has a place, how to name another one.
    """
    try:
        return load_data(config.data, config.seed)
    except InputError as error:
        if not hasattr(config.data, "root"):
            raise
        raise InputError(f"{error}; if the data has moved, name its place: data.root=PLACE") from error


def computes_with() -> dict[str, str]:
    """Versions that a process's numbers depend on, and what ATen says of the processor's instructions, as a hint.

    What a process really computes, `raygan.engine.likeness` tells.
    """
    versions = {name: version(name).partition("+")[0] for name in _COMPUTES}  # not for what it was built
    return {**versions, "instructions": torch.backends.cpu.get_cpu_capability()}


def check_versions(processes: Iterable[Mapping[str, object]]) -> None:
    """Raise InputError if a process, by its facts, computes with other versions than this one."""
    here = computes_with()
    for process in processes:
        for name in _COMPUTES:
            if process[name] != here[name]:
                raise InputError(
                    f"{process['role']} on {process['address']} has {name} {process[name]}, but the driver has "
                    f"{here[name]}; install the same on every node"
                )
