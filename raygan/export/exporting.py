"""The export of a run: a generator in one format, a picture, and a model card, in a folder."""

import shutil
from pathlib import Path

from raygan.errors import InputError
from raygan.evaluation.trained import load
from raygan.export.card import model_card
from raygan.export.formats import write_generator
from raygan.record.generator_file import Weights
from raygan.report.record import read_record


def export_run(run: Path, to: str, out: Path, weights: Weights, licence: str | None, own: str | None) -> Path:
    """Write the generator of the run folder `run` into the folder `out`; returns the generator's file.

    Raises:
        InputError: the run has no generator, `out` is in use or not writable, or the format does not fit the network.
    """
    record = read_record(run)
    generator = load(run, weights, own)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"--out: {out} exists and is not an empty folder; name another")
    existed = out.exists()
    try:
        out.mkdir(parents=True, exist_ok=True)
        file = write_generator(generator, to, record.folder, out)
        if (picture := record.folder.newest_picture) is not None:
            shutil.copy(picture, out / "samples.png")
        (out / "README.md").write_text(model_card(record, generator, to, file, licence), encoding="utf-8")
    except BaseException as error:
        if not existed:
            shutil.rmtree(out, ignore_errors=True)
        if isinstance(error, OSError):
            raise InputError(f"--out: {out} cannot be written: {error.strerror or error}") from error
        raise
    return file
