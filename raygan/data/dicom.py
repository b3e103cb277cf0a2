"""DICOM files, read by pydicom (the extra `raygan[dicom]`)."""

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from raygan.data.decode import Picture, UnreadableError
from raygan.data.depth import Range, range_of_type
from raygan.errors import InputError

if TYPE_CHECKING:
    from pydicom import Dataset


def read_dicom(content: bytes, name: str) -> Picture:
    """Decode an image of one frame, as pydicom shows it: modality, then VOI LUT or window; MONOCHROME1 is turned.

    Raises:
        InputError: pydicom is missing or cannot decompress it, or it has no image or several frames; names the file.
    """
    try:
        import pydicom
        from pydicom.pixels.processing import apply_color_lut
    except ImportError as error:
        raise InputError(
            f'{name}: is a DICOM file, which pydicom reads: pip install "raygan[dicom]"', code="package"
        ) from error
    file: Any = pydicom.dcmread(io.BytesIO(content))
    if "PixelData" not in file and "FloatPixelData" not in file and "DoubleFloatPixelData" not in file:
        raise InputError(f"{name}: is a DICOM file without an image; leave it out", code="empty")
    frames = int(file.get("NumberOfFrames") or 1)
    if frames > 1:
        raise InputError(f"{name}: has {frames} frames; write each as a file of its own", code="layout")
    try:
        stored: np.ndarray = file.pixel_array
    except (RuntimeError, NotImplementedError) as error:
        raise InputError(
            f"{name}: pydicom cannot decompress it here ({str(error).splitlines()[0]})", code="failed"
        ) from error
    if file.PhotometricInterpretation == "PALETTE COLOR":
        stored = apply_color_lut(stored, file)
        return _coloured(stored, range_of_type(stored.dtype))
    if stored.ndim == 3:
        return _coloured(stored, range_of_type(stored.dtype, int(file.BitsStored)))
    if stored.ndim != 2:
        raise UnreadableError(name)
    if stored.dtype.kind == "f":
        return Picture(range_of_type(stored.dtype), stored.dtype.name, grey=True, deep=stored)
    return _grey(stored, file)


def _coloured(values: np.ndarray, full: Range) -> Picture:
    return Picture(full, values.dtype.name, grey=False, deep=values)


def _grey(stored: np.ndarray, file: "Dataset") -> Picture:
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

    measured = apply_modality_lut(stored, file)
    shown = apply_voi_lut(measured, file)
    full = _range(file)
    if shown is not measured:
        shown = np.clip(shown, full.low, full.high)  # a window's ends, but for rounding
    if file.PhotometricInterpretation == "MONOCHROME1":
        shown = full.low + full.high - shown.astype(np.float64)
    return Picture(full, stored.dtype.name, grey=True, deep=shown)


def _range(file: "Dataset") -> Range:
    """Returns the values that a shown image may have, as pydicom scales it."""
    look_up = file.get("VOILUTSequence")
    if look_up and look_up[0].get("LUTDescriptor") is not None and look_up[0].get("LUTData") is not None:
        return Range(0, 2 ** int(look_up[0].LUTDescriptor[2]) - 1)
    if modality := file.get("ModalityLUTSequence"):
        return Range(0, 2 ** int(modality[0].LUTDescriptor[2]) - 1)
    bits = int(file.BitsStored)
    low, high = (-(2.0 ** (bits - 1)), 2 ** (bits - 1) - 1) if file.PixelRepresentation else (0.0, 2.0**bits - 1)
    slope, intercept = file.get("RescaleSlope"), file.get("RescaleIntercept")
    if slope is None or intercept is None:
        return Range(low, high)
    low, high = sorted(float(end) * float(slope) + float(intercept) for end in (low, high))
    return Range(low, high)
