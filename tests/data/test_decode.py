"""One file at a time: what becomes of each format."""

import io
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from raygan import InputError
from raygan.data.decode import UnreadableError, read_picture, suffixes
from raygan.data.depth import Range
from tests.data.pictures import encoded, noise
from tests.errors import raises

DEEP = np.arange(256, dtype=np.uint16).reshape(16, 16) * 257


def pixels(content, channels=1, found=None, ground="black", side=16):
    return read_picture(content, ground, "a/file").pixels(side, channels, found, "a/file")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["PNG", "BMP", "GIF", "JPEG", "PPM", "TIFF", "WEBP", "TGA"])
@pytest.mark.parametrize("mode", ["L", "RGB", "P", "1"])
def test_eight_bits_are_what_pillow_converts_them_to(kind, mode, channels):
    if (kind, mode) in {("JPEG", "P"), ("PPM", "P"), ("WEBP", "1"), ("WEBP", "P")}:
        pytest.skip("the format has no such images")
    content = encoded(noise(0).convert(mode), kind)
    with Image.open(io.BytesIO(content)) as image:
        expected = np.asarray(image.convert("L" if channels == 1 else "RGB"))
    found = pixels(content, channels)
    assert np.array_equal(found, expected[None] if channels == 1 else expected.transpose(2, 0, 1))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_sixteen_bits_are_scaled(kind):
    picture = read_picture(encoded(Image.fromarray(DEEP), kind), "black", "a/file")
    assert (picture.kind, picture.grey, picture.size) == ("uint16", True, (16, 16))
    assert np.array_equal(picture.pixels(16, 1, None, "a/file")[0].ravel(), np.arange(256))


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "PPM"])
def test_twelve_bits_in_sixteen(kind):
    twelve = (DEEP // 16).astype(np.uint16)
    content = encoded(Image.fromarray(twelve), kind)
    expected = np.floor(twelve * 255.0 / 4095 + 0.5)
    assert np.array_equal(pixels(content, found=Range(0, 4095))[0], expected)
    assert pixels(content).max() == 16


def test_a_pgm_says_itself_what_is_white():
    twelve = (DEEP // 16).astype(">u2")
    content = b"P5 16 16 4095\n" + twelve.tobytes()
    assert np.array_equal(pixels(content)[0], np.floor(twelve * 255.0 / 4095 + 0.5))
    assert np.array_equal(pixels(content), pixels(content, found=Range(0, 4095)))
    assert np.array_equal(read_picture(content, "black", "").values, twelve)


def test_a_tiff_whose_white_is_zero_is_turned():
    content = encoded(Image.fromarray(DEEP), "TIFF", tiffinfo={262: 0})
    assert np.array_equal(pixels(content)[0].ravel(), 255 - np.arange(256))


def test_32_bits_and_floats():
    whole = np.full((16, 16), 2**31 - 1, np.int32)
    assert (pixels(encoded(Image.fromarray(whole), "TIFF")) == 255).all()
    half = encoded(Image.fromarray(np.full((16, 16), 0.5, np.float32)), "TIFF")
    assert (pixels(half) == 128).all()
    assert (pixels(half, found=Range(0, 2)) == 64).all()


def test_a_float_outside_its_range_names_the_file():
    content = encoded(Image.fromarray(np.full((16, 16), 1.5, np.float32)), "TIFF")
    with raises("a/file", "range", "1.5 to 1.5", "0 to 1"):
        pixels(content)
    content = encoded(Image.fromarray(np.full((16, 16), np.nan, np.float32)), "TIFF")
    with raises("a/file", "not_finite"):
        pixels(content)


def test_colour_of_16_bits_has_its_own_range_only():
    values = np.full((4, 4, 3), 4095, ">u2")
    content = b"P6 4 4 65535\n" + values.tobytes()
    assert (pixels(content, channels=3, side=4) == 16).all()
    with raises("a/file", "layout", "16 bits", "data.depth=type"):
        pixels(content, channels=3, found=Range(0, 4095), side=4)


def test_a_range_applies_to_8_bits_too():
    content = encoded(Image.new("L", (16, 16), 100))
    assert (pixels(content, found=Range(0, 200)) == 128).all()
    assert (pixels(content, found=Range(0, 4095)) == 6).all()


@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize(("ground", "expected"), [("black", 100), ("white", 227)])
def test_transparency_is_laid_over_a_ground(kind, ground, expected):
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    content = encoded(Image.new("RGBA", (16, 16), (200, 200, 200, 128)), kind, **options)
    assert np.abs(pixels(content, channels=3, ground=ground).astype(int) - expected).max() <= 1
    clear = encoded(Image.new("RGBA", (16, 16), (200, 200, 200, 0)), kind, **options)
    assert (pixels(clear, ground=ground) == (0 if ground == "black" else 255)).all()


def test_a_transparent_colour_and_grey_with_alpha():
    image = Image.new("P", (16, 16), 1)
    image.putpalette([0, 0, 0, 250, 250, 250])
    content = encoded(image, transparency=1)
    assert (pixels(content) == 0).all()
    assert (pixels(content, ground="white") == 255).all()
    assert read_picture(content, "black", "").grey
    assert (pixels(encoded(Image.new("LA", (16, 16), (90, 255)))) == 90).all()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_as_their_metadata_say(kind, orientation):
    """Bright in the corner that is at the top left once the image is upright."""
    places = {1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (1, 0), 7: (1, 1), 8: (0, 1)}
    values = np.zeros((32, 32), np.uint8)
    row, column = places[orientation]
    values[16 * row : 16 * row + 16, 16 * column : 16 * column + 16] = 255
    exif = Image.Exif()
    exif[274] = orientation
    found = pixels(encoded(Image.fromarray(values), kind, exif=exif), side=32)[0].astype(int)
    assert found[:14, :14].min() > 200
    assert found[18:].max() < 60


def test_an_image_is_turned_before_it_is_cropped():
    values = np.zeros((16, 48), np.uint8)
    values[:, 16:32] = 255
    exif = Image.Exif()
    exif[274] = 6
    found = read_picture(encoded(Image.fromarray(values), exif=exif), "black", "")
    assert found.size == (48, 16)
    assert (found.pixels(16, 1, None, "") == 255).all()


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr"])
def test_other_colour_spaces(mode):
    content = encoded(Image.new("RGB", (16, 16), (200, 30, 90)).convert(mode), "TIFF")
    assert np.abs(pixels(content, channels=3)[:, 0, 0].astype(int) - (200, 30, 90)).max() <= 2


@pytest.mark.parametrize("kind", ["GIF", "PNG", "TIFF", "WEBP"])
def test_the_first_frame_is_taken(kind):
    frames = [Image.new("L", (16, 16), shade) for shade in (10, 200)]
    picture = read_picture(encoded(frames[0], kind, save_all=True, append_images=frames[1:]), "black", "")
    assert picture.more
    assert np.abs(picture.pixels(16, 1, None, "").astype(int) - 10).max() <= 2
    assert not read_picture(encoded(frames[0], kind), "black", "").more


@pytest.mark.parametrize("content", [b"", b"no image", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"])
def test_what_is_no_image_is_not_readable(content):
    """PostScript would be run by another program."""
    with raises("a/file", "damaged", kind=UnreadableError):
        read_picture(content, "black", "a/file")


@pytest.mark.parametrize("seed", range(60))
def test_damaged_images_are_not_readable_or_of_their_size(seed):
    random = np.random.default_rng(seed)
    kind = ["PNG", "JPEG", "GIF", "BMP", "PPM", "TIFF"][seed % 6]
    content = bytearray(encoded(noise(seed), kind))
    for place in random.integers(len(content), size=3):
        content[place] ^= int(random.integers(1, 256))
    try:
        found = pixels(bytes(content[: random.integers(1, len(content) + 1)]))
    except InputError as error:
        assert str(error).startswith("a/file: ")
    else:
        assert found.shape == (1, 16, 16)


def test_every_suffix_of_pillow_that_has_a_decoder_here():
    assert {".png", ".jpg", ".jpeg", ".jfif", ".pgm", ".ppm", ".tif", ".tiff", ".gif", ".bmp", ".webp", ".tga"} <= (
        suffixes()
    )
    assert {".jp2", ".ico", ".pcx", ".dcm"} <= suffixes()
    assert not {".eps", ".h5", ".mpg", ".pdf", ".txt", ".wmf"} & suffixes()


def test_the_page_says_what_is_done_with_each_format():
    """Every suffix that the table of docs/data.md names is read."""
    page = (Path(__file__).parents[2] / "docs" / "data.md").read_text()
    table = page[page.index("## Formats") : page.index("## Depth")]
    named = set(re.findall(r"`(\.\w+)`", table))
    assert len(named) > 30
    assert named - suffixes() <= {".avif", ".avifs", ".qoi"}, "which depends on how old Pillow is, and how it was built"
