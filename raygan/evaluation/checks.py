"""Checks before a run starts, beyond the types of the config."""

from importlib.util import find_spec
from pathlib import Path

from raygan.config.tree import Config
from raygan.data import ImageSet, load_data
from raygan.errors import InputError
from raygan.metrics.inception import is_inception


def check_weights(config: Config) -> None:
    """Raise InputError if Inception weights are named but cannot be used."""
    weights = config.eval.inception_weights
    if weights is not None and find_spec("torch_fidelity") is None:
        raise InputError("eval.inception_weights: FID needs torch-fidelity; pip install 'raygan[fid]'", code="package")
    if weights is not None:
        check_inception(weights)


def check_inception(weights: Path) -> None:
    """Raise InputError if a file does not hold the Inception weights that FID is defined by, before it is loaded."""
    try:
        known = is_inception(weights)
    except OSError as error:
        raise InputError(
            f"eval.inception_weights: {weights} cannot be read: {error.strerror or error}", code="unreadable"
        ) from error
    if not known:
        raise InputError(
            f"eval.inception_weights: {weights} is not pt_inception-2015-12-05-6726825d.pth: its SHA-256 is another; "
            "distances on other weights are no FID, and an unknown file is not loaded",
            code="mismatch",
        )


def load_again(config: Config) -> ImageSet:
    """Returns the data of a run that was started before.

    Raises:
        InputError: the data is missing or not readable; the message says how to name another location, if it has one.
    """
    try:
        return load_data(config.data, config.seed)
    except InputError as error:
        if not hasattr(config.data, "root"):
            raise
        raise InputError(f"{error}; if the data has moved, name its place: data.root=PLACE", code=error.code) from error
