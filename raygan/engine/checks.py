"""What is checked before anything is started, beyond what the config's types say."""

from importlib.util import find_spec

from raygan.config.tree import Config
from raygan.errors import InputError


def check_weights(config: Config) -> None:
    """Raise InputError if Inception weights are named but cannot be used."""
    weights = config.eval.inception_weights
    if weights is not None and not weights.is_file():
        raise InputError(f"eval.inception_weights: {weights} is not a file")
    if weights is not None and find_spec("torch_fidelity") is None:
        raise InputError("eval.inception_weights: FID needs torch-fidelity; pip install 'raygan[fid]'")
