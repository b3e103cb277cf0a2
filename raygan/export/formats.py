"""The formats that a generator is exported to."""

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import torch

from raygan.errors import InputError
from raygan.evaluation.trained import TrainedGenerator
from raygan.record.folder import RunFolder

_TRIED = 4  # latent points that a generator is traced with
_CLOSE = 1e-5
Inputs = tuple[torch.Tensor, ...]
"""Latent points, and labels if the generator has a class condition."""


def _inputs(generator: TrainedGenerator, count: int, seed: int) -> Inputs:
    latents = torch.randn(count, generator.latent, generator=torch.Generator().manual_seed(seed))
    return (latents, torch.arange(count) % generator.classes) if generator.classes else (latents,)


def _onnx(generator: TrainedGenerator, given: Inputs, folder: RunFolder, out: Path) -> Path:
    """An ONNX model of any number of latent points; needs the `onnx` extra."""
    try:
        import onnxscript  # noqa: F401 - torch's exporter is built on it
    except ImportError as error:
        raise InputError(
            '--to: onnx needs the extra of that name: pip install "raygan[onnx]"', code="package"
        ) from error
    path = out / "generator.onnx"
    count = torch.export.Dim("count")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's own, of its own code
        program = torch.onnx.export(
            generator.network,
            given,
            dynamo=True,
            input_names=["latents", "labels"][: len(given)],
            output_names=["samples"],
            dynamic_shapes=({0: count},) * len(given),
            external_data=False,
            verbose=False,
        )
    assert program is not None  # with dynamo
    program.save(path)
    return path


def _torchscript(generator: TrainedGenerator, given: Inputs, folder: RunFolder, out: Path) -> Path:
    """A TorchScript module, which torch still reads without Python but has deprecated."""
    path = out / "generator.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it is deprecated
        torch.jit.trace(generator.network, given).save(str(path))
        again = torch.jit.load(str(path))
        more = _inputs(generator, 2 * _TRIED, seed=1)
        difference = float((again(*more) - generator(*more)).abs().max())
    if difference > _CLOSE:
        path.unlink()
        raise InputError(
            f"--to: torchscript does not follow this network: its samples differ by {difference:.2g}; take safetensors",
            code="failed",
        )
    return path


def _safetensors(generator: TrainedGenerator, given: Inputs, folder: RunFolder, out: Path) -> Path:
    """The run's own file, with both generators, which `raygan.load_generator` reads."""
    return Path(shutil.copy(folder.generator, out / "generator.safetensors"))


FORMATS: dict[str, Callable[[TrainedGenerator, Inputs, RunFolder, Path], Path]] = {
    "onnx": _onnx,
    "safetensors": _safetensors,
    "torchscript": _torchscript,
}
"""Each writes its file into a folder, and returns it."""


def write_generator(generator: TrainedGenerator, to: str, folder: RunFolder, out: Path) -> Path:
    """Write a generator in one of `FORMATS` into the folder `out`; returns the file.

    Raises:
        InputError: the format needs an extra, or its exporter cannot follow the network.
    """
    try:
        return FORMATS[to](generator, _inputs(generator, _TRIED, seed=0), folder, out)
    except (InputError, OSError):
        raise
    except Exception as error:  # whatever torch's exporters raise on a custom network
        reason = str(error).strip().partition("\n")[0]
        raise InputError(
            f"--to: {to} does not follow this network: {type(error).__name__}: {reason}", code="failed"
        ) from error
