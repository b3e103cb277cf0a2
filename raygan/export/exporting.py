"""The export of a run: a generator in one format, a picture, and a model card, in a folder."""

import shutil
from pathlib import Path

from raygan.errors import InputError
from raygan.evaluation.drawing import draw_samples
from raygan.evaluation.trained import load_trained
from raygan.export.card import model_card
from raygan.export.formats import write_generator
from raygan.record.generator_file import Weights
from raygan.report.record import read_record

_DRAWN = 64
"""Samples in the picture."""


def export_run(run: Path, to: str, out: Path, weights: Weights, licence: str | None, own: str | None) -> Path:
    """Write the generator of the run folder `run` into the folder `out`; returns the generator's file.

    Raises:
        InputError: the run has no generator, `out` is in use or not writable, or the format does not fit the network.
    """
    if to == "safetensors" and weights == "raw":
        raise InputError(
            '--raw: safetensors holds both generators; load that one with load_generator(FILE, "raw")', code="conflict"
        )
    record = read_record(run)
    generator = load_trained(run, weights, own)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--out: {out} exists and is not an empty folder; remove it, or name another", code="exists")
    existed = out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
        file = write_generator(generator, to, record.folder, out)
        draw_samples(record.config, run, _DRAWN, out / "samples.png", weights, own)
        (out / "README.md").write_text(model_card(record, generator, to, file, weights, licence), encoding="utf-8")
    except BaseException as error:
        if not existed:
            shutil.rmtree(out, ignore_errors=True)
        if isinstance(error, OSError):
            raise InputError(f"--out: {out} cannot be written: {error.strerror or error}", code="unreadable") from error
        raise
    return file
