"""DICOM files, as pydicom shows them."""

import io
import sys
import tarfile

import numpy as np
import pytest
from PIL import Image

from raygan.config import load_config
from raygan.data import load_data
from raygan.data.decode import read_picture
from raygan.data.depth import Range
from tests.data.pictures import encoded, load, put
from tests.errors import raises

pydicom = pytest.importorskip("pydicom", reason='needs pip install "raygan[dicom]"')
RAMP = np.arange(4096, dtype=np.uint16).reshape(64, 64)


def dicom(values, **tags):
    """A file of these stored values, with 12 of 16 bits stored (or the type's)."""
    file = pydicom.Dataset()
    file.file_meta = pydicom.dataset.FileMetaDataset()
    file.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    file.SOPClassUID = file.file_meta.MediaStorageSOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
    file.SOPInstanceUID = file.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    file.Rows, file.Columns = values.shape[-2:] if values.shape[-1] != 3 else values.shape[:2]
    file.SamplesPerPixel = 3 if values.shape[-1] == 3 else 1
    if file.SamplesPerPixel == 3:
        file.PlanarConfiguration = 0
    file.PhotometricInterpretation = "MONOCHROME2" if file.SamplesPerPixel == 1 else "RGB"
    file.BitsAllocated = 8 * values.dtype.itemsize
    file.BitsStored = 12 if file.BitsAllocated == 16 else 8
    file.PixelRepresentation = int(values.dtype.kind == "i")
    file.PixelData = values.tobytes()
    for name, value in tags.items():
        setattr(file, name, value)
    file.HighBit = file.BitsStored - 1
    content = io.BytesIO()
    file.save_as(content, enforce_file_format=True)
    return content.getvalue()


def shown(content, found=None):
    return read_picture(content, "black", "a/file").pixels(64, 1, found, "a/file")[0]


def scaled(values, low, high):
    return np.floor((values.astype(float) - low) * 255 / (high - low) + 0.5)


def test_the_stored_bits_are_the_range():
    assert np.array_equal(shown(dicom(RAMP)), scaled(RAMP, 0, 4095))
    assert np.array_equal(shown(dicom(RAMP, BitsStored=16)), scaled(RAMP, 0, 65535))
    assert np.array_equal(shown(dicom(RAMP), Range(0, 8190)), scaled(RAMP, 0, 8190))
    assert np.array_equal(shown(dicom((RAMP // 16).astype(np.uint8))), RAMP // 16)


def test_signed_values_and_the_modality():
    signed = RAMP.astype(np.int16) - 2048
    assert np.array_equal(shown(dicom(signed)), scaled(RAMP, 0, 4095))
    hounsfield = dicom(RAMP, RescaleSlope="2", RescaleIntercept="-1024", Modality="CT")
    assert np.array_equal(shown(hounsfield), scaled(RAMP, 0, 4095))
    assert np.array_equal(shown(hounsfield, Range(-1024, 9000)), scaled(RAMP * 2.0 - 1024, -1024, 9000))
    assert np.array_equal(shown(dicom(RAMP, RescaleSlope="-1", RescaleIntercept="0")), scaled(4095 - RAMP, 0, 4095))


def test_monochrome1_is_turned():
    turned = dicom(RAMP, PhotometricInterpretation="MONOCHROME1")
    assert np.array_equal(shown(turned), scaled(4095 - RAMP, 0, 4095))


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("rescale", [{}, {"RescaleSlope": "1", "RescaleIntercept": "-1024"}])
def test_a_window_is_applied_as_pydicom_does(function, rescale):
    content = dicom(RAMP, WindowCenter=["600", "40"], WindowWidth=["800", "80"], VOILUTFunction=function, **rescale)
    from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

    file = pydicom.dcmread(io.BytesIO(content))
    expected = apply_voi_lut(apply_modality_lut(file.pixel_array, file), file)
    low = -1024 if rescale else 0
    assert np.array_equal(shown(content), scaled(expected, low, low + 4095))
    assert shown(content).max() == 255


def test_a_look_up_table():
    table = pydicom.Dataset()
    table.LUTDescriptor = [4096, 0, 16]
    table.add_new("LUTData", "US", [int(value) for value in (RAMP.ravel() // 2) * 16])
    assert np.array_equal(shown(dicom(RAMP, VOILUTSequence=[table])), scaled(RAMP // 2 * 16, 0, 65535))


def test_colour():
    values = np.random.default_rng(0).integers(256, size=(64, 64, 3), dtype=np.uint8)
    picture = read_picture(dicom(values), "black", "")
    assert not picture.grey
    assert np.array_equal(picture.pixels(64, 3, None, ""), values.transpose(2, 0, 1))


@pytest.mark.parametrize(
    ("content", "about"),
    [
        (dicom(np.stack([RAMP, RAMP]), NumberOfFrames=2), ("a/file", "layout", "2 frames")),
        (dicom(RAMP)[:3000], ("a/file", "damaged")),
        (b"\0" * 128 + b"DICM", ("a/file", "empty")),
    ],
)
def test_what_cannot_be_used_is_named(content, about):
    with raises(*about):
        shown(content)


def test_without_pydicom_the_command_is_said(tmp_path, monkeypatch):
    (tmp_path / "1.dcm").write_bytes(dicom(RAMP))
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with raises("1.dcm", "package", "raygan[dicom]"):
        load(tmp_path)


def test_files_without_a_suffix_are_told_by_their_mark(tmp_path):
    (tmp_path / "set" / "ill").mkdir(parents=True)
    for name in ("IM0001", "IM0002", "3.dcm"):
        (tmp_path / "set" / "ill" / name).write_bytes(dicom(RAMP))
    (tmp_path / "set" / "ill" / "LICENSE").write_text("words " * 100)
    (tmp_path / "set" / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    with tarfile.open(tmp_path / "set.tar.gz", "w:gz") as archive:
        archive.add(tmp_path / "set", "")
    for place in (tmp_path / "set", tmp_path / "set.tar.gz"):
        found = load(place)
        assert (len(found), found.shape, found.classes) == (3, (1, 64, 64), ("ill",))
        assert found.notes[0] == "1 file passed over, no images: no suffix 1"


def test_a_set_of_12_bits_is_the_same_in_every_format(tmp_path):
    """Synthetic chests: a bright body, two dark lungs and noise, of 12 bits."""
    rows, columns = np.mgrid[:64, :64]
    lungs = sum(np.exp(-(((rows - 30) / 18) ** 2) - ((columns - at) / 9) ** 2) for at in (20, 44))
    random = np.random.default_rng(0)
    for name in ("png", "tif", "dcm"):
        (tmp_path / name / "chest").mkdir(parents=True)
    chests = []
    for number in range(6):
        values = (3200 - 2000 * lungs + random.normal(0, 150, lungs.shape)).clip(0, 4095).astype(np.uint16)
        chests.append(values)
        chest = f"chest/{number}"
        (tmp_path / "png" / f"{chest}.png").write_bytes(encoded(Image.fromarray(values)))
        (tmp_path / "tif" / f"{chest}.tif").write_bytes(encoded(Image.fromarray(values), "TIFF"))
        (tmp_path / "dcm" / f"{chest}.dcm").write_bytes(dicom(values))
    png, tif, dcm = (load(tmp_path / name, "data.depth=12") for name in ("png", "tif", "dcm"))
    assert np.array_equal(png.images, tif.images)
    assert np.array_equal(png.images, dcm.images)
    assert png.images.std() > 20
    assert np.array_equal(load(tmp_path / "dcm").images, png.images), "by the stored bits"
    np.savez(tmp_path / "set.npz", images=np.stack(chests))
    npz = load_config(None, ["data.name=npz", f"data.root={tmp_path / 'set.npz'}", "data.depth=12"])
    assert np.array_equal(load_data(npz.data, 0).images, png.images)


def test_a_mixture_of_formats(tmp_path):
    put(tmp_path, "a.png", side=64, channels=1)
    (tmp_path / "b.dcm").write_bytes(dicom(RAMP))
    assert load(tmp_path).notes == (
        "uint16, uint8 values are scaled to 8 bits: the range of each file's type becomes 0 to 255 (data.depth=type)",
    )
