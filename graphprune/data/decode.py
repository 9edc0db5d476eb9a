"""Decode images to the pixels that a viewer shows.

- The EXIF orientation is applied.
- Transparent pixels are composited on white.
- 16-bit pixels are reduced to their high byte (65535 becomes 255), as Pillow does for 16-bit color. 32-bit and
  floating-point pixels are refused, because their range is unknown.
- Only the first of several frames is used.
- EPS and WMF are refused, because decoding them runs programs contained in the file.
"""

from __future__ import annotations

import io
import os
import threading
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from graphprune.data.labels import listed
from graphprune.errors import InputError

# Name of an image in messages, and its encoded bytes, a mapping ``{bytes, path}``, or the path of its file.
Cell = tuple[str, Any]
Blocks = Callable[[npt.NDArray[np.int64]], Iterator[list[Cell]]]

_NOT_READ = {"EPS", "WMF", "BUFR", "GRIB", "HDF5", "MPEG"}
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_WITH_ALPHA = {"RGBA", "RGBa", "LA", "La", "PA"}
# If no 16-bit image of a data set exceeds this value, the camera has fewer bits.
_TWELVE_BITS = 4095
# At most this many broken images are listed.
_LISTED = 100
_FIX = "; remove or replace it, or set data.skip_broken: true"


class BrokenImage(InputError):
    """An image that cannot be decoded."""


class Picture(NamedTuple):
    """Pixels ``[3, H, W]`` uint8, and the largest value of a 16-bit image before scaling (otherwise None)."""

    pixels: npt.NDArray[np.uint8]
    largest: int | None


class Decoded(NamedTuple):
    """Images ``[n, 3, H, W]`` uint8, their rows, and known issues to report."""

    images: npt.NDArray[np.uint8]
    rows: npt.NDArray[np.int64]
    faults: tuple[str, ...]


def decode_images(
    blocks: Blocks, rows: npt.NDArray[np.int64], where: str, *, size: int | None, skip_broken: bool
) -> Decoded:
    """Decode the images of ``rows`` in threads, directly into one array.

    Args:
        blocks: Function that takes rows and yields their cells in order, in blocks.
        rows: ``[n]`` ascending.
        where: Name of the images in messages.
        size: Side length of the squares to resize to; None: all images must have the same size.
        skip_broken: Skip and report images that cannot be decoded.

    Raises:
        InputError: an image cannot be decoded or has another size; with ``skip_broken``, none can be decoded.
    """
    broken: dict[int, str] = {}
    largest: set[int] = set()
    # Set once around all threads: Pillow warns about many details, and warning filters are global.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shape = _first_shape(blocks, rows, where, size, skip_broken)
        images = np.empty((len(rows), *shape), dtype=np.uint8)

        def fill(start: int, cells: list[Cell]) -> None:
            for at, (name, content) in enumerate(cells, start):
                try:
                    picture = _named(name, content, size)
                except BrokenImage as error:
                    if not skip_broken:
                        raise
                    broken[at] = str(error)
                    continue
                if picture.pixels.shape != shape:
                    raise InputError(
                        f"{name} has size {list(picture.pixels.shape[1:])} but the first image {list(shape[1:])}; "
                        "set data.image_size to resize all images"
                    )
                images[at] = picture.pixels
                if picture.largest is not None:
                    largest.add(picture.largest)

        workers = min(32, (os.cpu_count() or 1) + 4)
        with ThreadPoolExecutor(workers) as pool:
            started: deque[Future[None]] = deque()
            start = 0
            for cells in blocks(rows):
                if len(started) > 2 * workers:  # bounds the memory of images that wait to be decoded
                    started.popleft().result()
                started.append(pool.submit(fill, start, cells))
                start += len(cells)
            for future in started:
                future.result()
    faults = []
    if largest and max(largest) <= _TWELVE_BITS:
        faults.append(
            f"{where}: the 16-bit images contain values only up to {max(largest)} and become very dark; "
            "if they are 12-bit, multiply them by 16"
        )
    if broken:
        names = [message.removesuffix(_FIX) for _, message in sorted(broken.items())]
        faults.append(f"{where}: {len(broken)} of {len(rows)} images were skipped: {listed(names, _LISTED)}")
        good = np.setdiff1d(np.arange(len(rows)), list(broken))
        images, rows = images[good], rows[good]
    return Decoded(images, rows, tuple(faults))


def _first_shape(
    blocks: Blocks, rows: npt.NDArray[np.int64], where: str, size: int | None, skip_broken: bool
) -> tuple[int, ...]:
    first: BrokenImage | None = None
    for cells in blocks(rows):
        for name, content in cells:
            try:
                return _named(name, content, size).pixels.shape
            except BrokenImage as error:
                if not skip_broken:
                    raise
                first = first or error
    raise InputError(f"{where}: none of {len(rows)} images can be decoded; the first: {first}") from first


def _named(name: str, content: Any, size: int | None) -> Picture:
    try:
        return read_picture(content, size)
    except BrokenImage as error:
        raise BrokenImage(f"{name} {error}{_FIX}") from error
    except InputError as error:
        raise InputError(f"{name} {error}") from error


def read_picture(content: Any, size: int | None = None) -> Picture:
    """Decode one image from its encoded bytes, a mapping ``{bytes, path}``, or a path.

    Raises:
        BrokenImage: the image cannot be decoded.
        InputError: the pixel type is not supported.
    """
    if isinstance(content, dict) and content.keys() & {"bytes", "path"}:
        content = content.get("bytes") or (Path(content["path"]) if content.get("path") else None)
    if content is None:
        raise BrokenImage("cannot be decoded (it is missing)")
    if not isinstance(content, bytes | Path):
        raise InputError(
            f"is a {type(content).__name__}, not an encoded image; store the bytes of PNG or JPEG files "
            "(for arrays of pixels use data.kind: npz)"
        )
    try:
        raw = content if isinstance(content, bytes) else content.read_bytes()
        with Image.open(io.BytesIO(raw), formats=readable_formats()) as picture:
            with _NATIVE_ERRORS.silenced() if picture.format == "TIFF" else nullcontext():
                picture.load()
            turn = _orientation(picture)
            rgb, largest = _rgb(picture)
            if turn is not None:
                rgb = rgb.transpose(turn)
            if size is not None and rgb.size != (size, size):
                rgb = rgb.resize((size, size), Image.Resampling.BICUBIC)
            pixels = np.asarray(rgb, dtype=np.uint8).transpose(2, 0, 1)
    except InputError:
        raise
    except UnidentifiedImageError as error:
        raise BrokenImage("cannot be decoded (it is not an image in a supported format)") from error
    except Exception as error:  # decoders raise exceptions of any kind, from SyntaxError to ZeroDivisionError
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].partition(" <")[0]
        raise BrokenImage(f"cannot be decoded ({listed([reason])})") from error
    if 0 in pixels.shape:
        raise BrokenImage("cannot be decoded (it has no pixels)")
    return Picture(pixels, largest)


@cache
def readable_formats() -> tuple[str, ...]:
    """Supported formats of Pillow, the most common first."""
    Image.init()
    common = [name for name in ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF") if name in Image.OPEN]
    return (*common, *sorted(Image.OPEN.keys() - _NOT_READ - set(common)))


@cache
def image_suffixes() -> frozenset[str]:
    """Suffixes of image files in lower case, including those of refused formats (EPS, WMF)."""
    Image.init()
    pictures = {*readable_formats(), "EPS", "WMF"}
    return frozenset(suffix for suffix, name in Image.registered_extensions().items() if name in pictures)


def _orientation(picture: Image.Image) -> Image.Transpose | None:
    try:
        return _TURNS.get(int(picture.getexif().get(_ORIENTATION, 1)))
    except Exception:  # viewers ignore damaged metadata
        return None


def _rgb(picture: Image.Image) -> tuple[Image.Image, int | None]:
    """The image in RGB, and the largest 16-bit value if it has such pixels."""
    largest = None
    # Pillow opens 16-bit PGM (and 16-bit PNG before version 11) in mode I.
    if picture.mode.startswith("I;16") or (picture.mode == "I" and picture.format in ("PNG", "PPM")):
        values = np.asarray(picture)
        largest = int(values.max())
        gray = Image.fromarray((values >> 8).astype(np.uint8))
        hidden = picture.info.get("transparency")
        if isinstance(hidden, int):
            gray.putalpha(Image.fromarray(np.where(values == hidden, 0, 255).astype(np.uint8)))
        picture = gray
    if picture.mode[0] in "IF":
        kind = "floating-point" if picture.mode[0] == "F" else "32-bit"
        raise InputError(
            f"has {kind} pixels (mode {picture.mode}), whose range is unknown; convert it to 8 or 16 bits per channel"
        )
    if picture.mode in _WITH_ALPHA or "transparency" in picture.info:
        if picture.mode == "La":
            picture = picture.convert("LA")
        white = Image.new("RGBA", picture.size, "white")
        picture = Image.alpha_composite(white, picture.convert("RGBA"))
    return picture.convert("RGB"), largest


class _NativeErrors:
    """Silences libtiff, which writes its errors to the error stream of the process instead of returning them."""

    def __init__(self) -> None:
        self._lock, self._users, self._saved = threading.Lock(), 0, -1

    @contextmanager
    def silenced(self) -> Iterator[None]:
        with self._lock:
            if self._users == 0:
                self._redirect()
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0 and self._saved >= 0:
                    os.dup2(self._saved, 2)
                    os.close(self._saved)

    def _redirect(self) -> None:
        self._saved = -1
        try:
            self._saved = os.dup(2)
            nowhere = os.open(os.devnull, os.O_WRONLY)
        except OSError:  # the error stream is closed
            return
        os.dup2(nowhere, 2)
        os.close(nowhere)


_NATIVE_ERRORS = _NativeErrors()
