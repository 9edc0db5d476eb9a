"""An image becomes the pixels that a viewer shows, or one sentence."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image

from graphprune.data.decode import BrokenImage, decode_images, image_suffixes, read_picture
from graphprune.errors import InputError

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16)


def encoded(picture, form="PNG", **options) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, form, **options)
    return buffer.getvalue()


def shown(raw, **options):
    return read_picture(raw, **options).pixels


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
@pytest.mark.parametrize("dtype", ["<u2", ">u2"])
def test_sixteen_bits_become_eight(form, dtype):
    if form == "PNG" or dtype == "<u2":
        raw = encoded(Image.fromarray(RAMP.astype(np.uint16) * 257), form)
    else:
        raw = encoded(Image.frombytes("I;16B", (16, 16), (RAMP.astype(">u2") * 257).tobytes()), form)
    found = read_picture(raw)
    assert np.array_equal(found.pixels, np.stack([RAMP] * 3))
    assert found.largest == 65535


def test_sixteen_bit_gray_and_color_are_scaled_alike():
    values = np.random.default_rng(0).integers(0, 65536, (8, 8), dtype=np.uint16)
    gray = encoded(Image.fromarray(values))
    assert np.array_equal(shown(gray)[0], shown(png16(values))[0])
    assert np.array_equal(shown(gray)[0], values >> 8)


def png16(values) -> bytes:
    """A 16-bit RGB PNG of equal channels, which Pillow does not write."""
    height, width = values.shape
    lines = b"".join(b"\0" + np.repeat(line, 3).astype(">u2").tobytes() for line in values)
    chunks = [
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines)),
        (b"IEND", b""),
    ]
    body = b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + body


def test_sixteen_bit_pgm_is_scaled_by_its_own_maximum():
    twelve = (RAMP.astype(np.uint16) * 16 + RAMP // 16).astype(">u2")
    raw = b"P5 16 16 4095\n" + twelve.tobytes()
    assert np.array_equal(shown(raw)[1], RAMP)


@pytest.mark.parametrize(
    ("dtype", "said"), [(np.int32, "32-bit pixels"), (np.float32, "floating-point pixels")]
)
def test_pixels_of_unknown_range_are_refused(dtype, said):
    raw = encoded(Image.fromarray(RAMP.astype(dtype)), "TIFF")
    with pytest.raises(InputError, match=said) as caught:
        read_picture(raw)
    assert not isinstance(caught.value, BrokenImage)


CORNERS = np.zeros((4, 6, 3), np.uint8)
CORNERS[0, 0] = 255, 0, 0
CORNERS[0, -1] = 0, 255, 0
TURNED = {
    1: CORNERS, 2: CORNERS[:, ::-1], 3: CORNERS[::-1, ::-1], 4: CORNERS[::-1],
    5: CORNERS.transpose(1, 0, 2), 6: np.rot90(CORNERS, -1), 7: np.rot90(CORNERS, 2).transpose(1, 0, 2),
    8: np.rot90(CORNERS, 1),
}  # fmt: skip


@pytest.mark.parametrize("orientation", TURNED)
@pytest.mark.parametrize("form", ["PNG", "TIFF", "WEBP"])
def test_the_exif_orientation_is_applied(orientation, form):
    notes = Image.Exif()
    notes[0x0112] = orientation
    options = {"lossless": True} if form == "WEBP" else {}
    raw = encoded(Image.fromarray(CORNERS), form, exif=notes, **options)
    assert np.array_equal(shown(raw).transpose(1, 2, 0), TURNED[orientation])


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damaged_exif_turns_nothing():
    raw = encoded(Image.fromarray(CORNERS), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert np.array_equal(shown(raw).transpose(1, 2, 0), CORNERS)


def half(mode, color, transparent):
    picture = Image.new(mode, (2, 1), color)
    picture.putpixel((1, 0), transparent)
    return picture


def test_transparency_is_composited_on_white():
    hidden = {
        "RGBA": encoded(half("RGBA", (10, 20, 30, 255), (10, 20, 30, 0))),
        "half": encoded(half("RGBA", (10, 20, 30, 255), (0, 0, 0, 128))),
        "LA": encoded(half("LA", (10, 255), (10, 0))),
        "RGB": encoded(half("RGB", (10, 20, 30), (1, 2, 3)), transparency=(1, 2, 3)),
        "L": encoded(half("L", 10, 77), transparency=77),
        "I;16": encoded(half("I;16", 10 * 257, 77), transparency=77),
        "webp": encoded(half("RGBA", (10, 20, 30, 255), (10, 20, 30, 0)), "WEBP", lossless=True),
    }
    palette = half("P", 0, 1)
    palette.putpalette([10, 20, 30, 40, 50, 60])
    hidden["P"] = encoded(palette, transparency=1)
    hidden["gif"] = encoded(palette, "GIF", transparency=1)
    for name, raw in hidden.items():
        left, right = shown(raw)[:, 0, 0].tolist(), shown(raw)[:, 0, 1].tolist()
        assert left == ([10, 10, 10] if name in ("LA", "L", "I;16") else [10, 20, 30]), name
        assert right == ([127] * 3 if name == "half" else [255] * 3), name


def test_other_modes_and_several_frames():
    red = Image.new("RGB", (3, 3), (255, 0, 0))
    frames = encoded(red, "GIF", save_all=True, append_images=[Image.new("RGB", (3, 3), (0, 0, 255))])
    assert shown(frames)[:, 1, 1].tolist() == [255, 0, 0]
    assert shown(encoded(Image.new("CMYK", (3, 3), (0, 0, 0, 255)), "TIFF")).max() == 0
    assert shown(encoded(Image.new("1", (3, 3), 1))).min() == 255


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"no image", "cannot be decoded"),
        (b"", "cannot be decoded"),
        (None, r"cannot be decoded \(it is missing\)"),
        ({"bytes": None, "path": None}, "it is missing"),
        ({"bytes": None, "path": "a\0b.png"}, "cannot be decoded"),
        ({"bytes": None, "path": "absent.png"}, "cannot be decoded"),
        (
            b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n",
            "not an image in a supported format",
        ),
        ([[1, 2], [3, 4]], "is a list, not an encoded image"),
        ("cat.png", "is a str, not an encoded image"),
        ({"a": 1}, "is a dict, not an encoded image"),
    ],
)
def test_what_is_no_image_is_one_sentence(content, said):
    with pytest.raises(InputError, match=said) as caught:
        read_picture(content)
    assert "\n" not in str(caught.value)
    assert " object at " not in str(caught.value)


def test_a_decompression_bomb_is_refused(monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(BrokenImage, match="cannot be decoded"):
        read_picture(encoded(Image.new("L", (20, 20))))


def test_the_decoder_writes_nothing_of_its_own(capfd):
    raw = bytearray(encoded(Image.fromarray(np.stack([RAMP] * 3, -1)), "TIFF", compression="tiff_lzw"))
    raw[40:200] = bytes(160)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(BrokenImage):
            decode_images(cells(bytes(raw)), np.arange(1), "here", size=None, skip_broken=False)
    print("still heard")
    out, err = capfd.readouterr()
    assert (out, err) == ("still heard\n", "")


def cells(*contents):
    def blocks(rows):
        for row in rows.tolist():
            yield [(f"image {row}", contents[row])]

    return blocks


def test_broken_images_are_skipped_on_request_and_listed():
    good = [encoded(Image.new("RGB", (4, 4), (10 * i, 0, 0))) for i in range(5)]
    mixed = cells(b"bad", good[1], good[2][:40], good[3], good[4])
    with pytest.raises(BrokenImage, match=r"image 0 cannot be decoded .*; .* data\.skip_broken: true"):
        decode_images(mixed, np.arange(5), "here", size=None, skip_broken=False)
    found = decode_images(mixed, np.arange(5), "here", size=None, skip_broken=True)
    assert found.rows.tolist() == [1, 3, 4]
    assert found.images[:, 0, 0, 0].tolist() == [10, 30, 40]
    (fault,) = found.faults
    assert fault.startswith("here: 2 of 5 images were skipped: image 0 cannot be decoded")
    assert "image 2 cannot be decoded" in fault
    with pytest.raises(InputError, match="here: none of 2 images can be decoded; the first: image 0 cannot"):
        decode_images(cells(b"bad", b"worse"), np.arange(2), "here", size=None, skip_broken=True)


def test_sixteen_bit_images_that_use_twelve_are_reported():
    dark = encoded(Image.fromarray(RAMP.astype(np.uint16) * 16))
    bright = encoded(Image.fromarray(RAMP.astype(np.uint16) * 257))
    (fault,) = decode_images(cells(dark, dark), np.arange(2), "here", size=None, skip_broken=False).faults
    assert "values only up to 4080" in fault
    assert not decode_images(cells(dark, bright), np.arange(2), "here", size=None, skip_broken=False).faults


def test_suffixes_are_those_of_pictures():
    assert {".png", ".jpeg", ".tif", ".webp", ".eps"} <= image_suffixes()
    assert not {".h5", ".mpg", ".pdf", ".csv"} & image_suffixes()
