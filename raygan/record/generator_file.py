"""generator.safetensors: the trained generator, raw and averaged, with everything needed to rebuild it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from safetensors import SafetensorError, safe_open

from raygan.components import GENERATORS
from raygan.config.gan import Gan
from raygan.errors import InputError
from raygan.files import load_json, save_arrays, write_whole
from raygan.gan.flat import FlatModule
from raygan.gan.networks import build_generator
from raygan.gan.transfer import array_of
from raygan.methods.base import State

_FORMAT = 2
Weights = Literal["raw", "ema"]


@dataclass(frozen=True)
class Trained:
    """A generator loaded from its file, in evaluation mode on the CPU."""

    network: FlatModule
    gan: Gan
    shape: tuple[int, ...]
    round: int


def save_generator(path: Path, generators: State, gan: Gan, shape: tuple[int, ...], round: int) -> None:
    """Write the vectors `raw` and `ema` by parameter name. The same run gives the same bytes."""
    network = FlatModule(build_generator(gan, shape), torch.device("cpu"))
    tensors = {
        f"{weights}.{name}": array_of(tensor)
        for weights, vector in generators.items()
        for name, tensor in network.named(torch.tensor(vector)).items()
    }
    about = {"format": _FORMAT, "gan": gan.model_dump(mode="json"), "shape": shape, "round": round}
    write_whole(path, lambda aside: save_arrays(tensors, aside, sealed(about, tensors)))


def sealed(about: Mapping[str, object], tensors: State) -> dict[str, str]:
    """Returns the file's metadata: the description `about` the tensors, and a checksum of both.

    It is one entry, because safetensors writes several entries in no fixed order.
    """
    return {"raygan": json.dumps({**about, "checksum": _checksum(about, tensors)}, sort_keys=True)}


def _checksum(about: Mapping[str, object], tensors: State) -> str:
    hasher = hashlib.blake2b(json.dumps(about, sort_keys=True).encode(), digest_size=16)
    for name in sorted(tensors):
        hasher.update(name.encode())
        hasher.update(np.ascontiguousarray(tensors[name]).data)
    return hasher.hexdigest()


def read_generator(path: Path, weights: Weights = "ema", own: str | None = None) -> Trained:
    """Rebuild a generator from its file. The file alone never causes code to be imported.

    A custom network is only built if `own` names it again by its import path.

    Raises:
        InputError: the file is missing or of another kind, or its network is neither raygan's nor `own`.
    """
    if not path.is_file():
        raise InputError(f"{path}: not there; a finished `raygan train --out {path.parent}` writes it", code="missing")
    try:
        with safe_open(path, framework="numpy") as file:
            about = load_json(file.metadata()["raygan"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a mapping
        if about["format"] != _FORMAT:
            raise ValueError(f"format {about['format']}, this raygan reads {_FORMAT}")
        if about.pop("checksum") != _checksum(about, arrays):
            raise ValueError("it does not match its checksum")
        gan = Gan.model_validate_json(json.dumps(about["gan"]))
        shape = tuple(int(side) for side in about["shape"])
        if gan.generator not in GENERATORS and gan.generator != own:
            raise InputError(
                f"{path}: its network is {gan.generator}, not one of raygan's; if you trust that code, "
                f"add gan.generator={gan.generator}",
                code="unsafe",
            )
        network = FlatModule(build_generator(gan, shape), torch.device("cpu"))
        with torch.no_grad():
            for name, tensor in network.named(network.vector).items():
                tensor.copy_(torch.tensor(arrays[f"{weights}.{name}"]).view(tensor.shape))
    except (SafetensorError, OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: not a generator that raygan wrote: {error}", code="damaged") from error
    network.refresh()  # older files hold a mean of spectral normalisation's vectors, which were not recomputed then
    network.module.eval().requires_grad_(False)
    return Trained(network, gan, shape, int(about["round"]))
