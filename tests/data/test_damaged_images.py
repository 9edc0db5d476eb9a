"""Damaged images of every format that Pillow reads: pixels or one sentence, never another exception."""

import io
import os
import warnings

import numpy as np
import pytest
from PIL import Image

from graphprune.data.decode import read_picture, readable_formats
from graphprune.errors import InputError

# `make fuzz` asks for many more.
DAMAGES = int(os.environ.get("GRAPHPRUNE_FUZZ", "20"))
RAMP = np.add.outer(np.arange(12) * 9, np.arange(16) * 5).astype(np.uint8)
COLOR = Image.fromarray(np.stack([RAMP, RAMP.T[:12, :12].repeat(2, 1)[:, :16], 255 - RAMP], -1))
MODES = {"MSP": "1", "XBM": "1", "PALM": "P", "SPIDER": "F", "BLP": "P"}
# Formats that Pillow opens but does not write, as the smallest files of their kind.
ONLY_READ = {
    "XPM": b'/* XPM */\nstatic char *x[] = {\n"2 2 2 1",\n"a c #ff0000",\n"b c #00ff00",\n"ab",\n"ba"};\n',
    "SUN": b"\x59\xa6\x6a\x95" + b"".join(v.to_bytes(4, "big") for v in (2, 2, 8, 4, 1, 0, 0)) + b"\1\2\3\4",
    "FITS": b"".join(
        line.ljust(80)
        for line in (
            b"SIMPLE  =                    T", b"BITPIX  =                    8", b"NAXIS   =                    2",
            b"NAXIS1  =                    2", b"NAXIS2  =                    2", b"END",
        )
    ).ljust(2880) + b"\1\2\3\4".ljust(2880, b"\0"),
    "PSD": b"8BPS\0\1" + bytes(6) + b"\0\3" + b"\0\0\0\2" * 2 + b"\0\10\0\3" + bytes(12) + b"\0\0" + bytes(range(12)),
    "FTEX": b"FTEX\0\0\0\0" + b"\2\0\0\0" * 2 + b"\1\0\0\0\1\0\0\0" + b"\1\0\0\0\40\0\0\0\14\0\0\0" + bytes(range(12)),
    "GBR": b"".join(v.to_bytes(4, "big") for v in (29, 2, 2, 2, 1)) + b"GIMP\0\0\0\1x" + b"\1\2\3\4",
    "CUR": b"\0\0\2\0\1\0\2\2\0\0\0\0\0\0" + b"\x38\0\0\0\x16\0\0\0\x28\0\0\0\2\0\0\0\4\0\0\0\1\0\x18\0" + bytes(40),
    "DCX": b"\xb1\x68\xde\x3a\x0c\0\0\0\0\0\0\0",
}  # fmt: skip


def sound() -> dict[str, bytes]:
    """One file in every format that is read and that can be made here."""
    files = dict(ONLY_READ)
    for name in readable_formats():
        if name in Image.SAVE and name not in files:
            buffer = io.BytesIO()
            COLOR.convert(MODES.get(name, "RGB")).save(buffer, name)
            files[name] = buffer.getvalue()
    for name, options in (("tiff_lzw", {"compression": "tiff_lzw"}), ("jpeg", {"compression": "jpeg"})):
        buffer = io.BytesIO()
        COLOR.save(buffer, "TIFF", **options)
        files[f"TIFF {name}"] = buffer.getvalue()
    for name, mode in (("PNG", "I;16"), ("PNG", "RGBA"), ("PNG", "P"), ("GIF", "P"), ("WEBP", "RGBA")):
        buffer = io.BytesIO()
        source = Image.fromarray(RAMP.astype(np.uint16) * 257) if mode == "I;16" else COLOR.convert(mode)
        source.save(buffer, name)
        files[f"{name} {mode}"] = buffer.getvalue()
    notes = Image.Exif()
    notes[0x0112] = 6
    buffer = io.BytesIO()
    COLOR.save(buffer, "JPEG", exif=notes)
    return {**files, "JPEG with notes": buffer.getvalue()}


def damaged(content: bytes, draws: np.random.Generator) -> bytes:
    found = bytearray(content)
    for _ in range(draws.integers(1, 4)):
        # Most of what decoders trust is near the start.
        at = int(draws.random() ** 2 * len(found))
        kind = draws.integers(4)
        if kind == 0:
            del found[at:]
        elif kind == 1:
            found[at : at + 4] = draws.choice([b"\0" * 4, b"\xff" * 4, b"\x7f\xff\xff\xff"])
        elif kind == 2:
            found[at:at] = draws.bytes(int(draws.integers(1, 9)))
        elif at < len(found):
            found[at] = draws.integers(256)
    return bytes(found)


with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    FILES = sound()


@pytest.mark.filterwarnings("ignore")
def test_most_formats_are_among_them():
    read = {name.split()[0] for name in FILES}
    assert len(read) >= 25
    refused = set()
    for name, content in FILES.items():
        try:
            assert read_picture(content).pixels.ndim == 3, name
        except InputError:
            refused.add(name)
    # One has floating-point pixels; an empty DCX has no frame.
    assert refused <= {"SPIDER", "DCX"}


@pytest.mark.parametrize("form", FILES)
def test_a_damaged_image_is_decoded_or_refused(form, capfd):
    draws = np.random.default_rng(sum(form.encode()))
    said = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for _ in range(DAMAGES):
            try:
                shape = read_picture(damaged(FILES[form], draws), 8).pixels.shape
            except InputError as error:
                said.append(str(error))
            else:
                assert shape == (3, 8, 8)
    assert all(len(sentence) < 500 and "\n" not in sentence for sentence in said)
    assert capfd.readouterr() == ("", "")
