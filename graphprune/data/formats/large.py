"""Arrays that are too large for memory; they are stored in memory-mapped files."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from graphprune.errors import InputError
from graphprune.files import (
    BROKEN_ARCHIVE,
    must_exist,
    name_of,
    read_header,
    read_member,
    read_npz,
    refuse_inflation,
)

Array = npt.NDArray[Any]

LARGE_BYTES = 1 << 28
_BLOCK_BYTES = 1 << 24


def room(shape: tuple[int, ...], dtype: Any = np.float32, *, near: Path) -> Array:
    """Allocate an array: in memory, or from ``LARGE_BYTES`` on in an unnamed file that is deleted with the process.

    The file is created in the folder of ``near`` if this is writable, because the system folder for temporary files is
    often kept in memory.
    """
    if int(np.prod(shape)) * np.dtype(dtype).itemsize < LARGE_BYTES:
        return np.empty(shape, dtype=dtype)
    folder = near.parent if os.access(near.parent, os.W_OK) else None
    with tempfile.TemporaryFile(dir=folder) as file:
        return np.memmap(file, dtype=dtype, mode="w+", shape=shape)


def row_blocks(array: Array) -> Iterator[slice]:
    """Slices of rows for a pass over ``array`` with bounded memory."""
    row = max(1, int(np.prod(array.shape[1:])) * array.dtype.itemsize)
    step = max(1, _BLOCK_BYTES // row)
    for start in range(0, len(array), step):
        yield slice(start, min(len(array), start + step))


def as_float32(array: Array, *, near: Path) -> Array:
    """Return ``array`` if it is float32, otherwise a float32 copy in `room`."""
    if array.dtype == np.float32:
        return array
    copy = room(array.shape, near=near)
    with np.errstate(over="ignore"):
        for rows in row_blocks(array):
            copy[rows] = array[rows]
    return copy


def read_arrays(path: Path) -> dict[str, Array]:
    """Read the arrays of an ``.npz`` file; arrays from ``LARGE_BYTES`` on are unpacked to `room`, numbers as float32.

    Raises:
        InputError: see `read_npz`.
    """
    must_exist(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if all(info.file_size < LARGE_BYTES for info in members):
                return read_npz(path)
            refuse_inflation(path, sum(info.file_size for info in members))
            arrays: dict[str, Array] = {}
            for info in members:
                if info.file_size < LARGE_BYTES:
                    arrays[name_of(info)] = read_member(archive, info)
                    continue
                with archive.open(info) as member:
                    arrays[name_of(info)] = _unpacked(member, info.file_size, path)
            return arrays
    except InputError:
        raise
    except BROKEN_ARCHIVE as error:
        raise InputError(
            f"{path} is not a readable .npz archive ({error}); save it with numpy.savez"
        ) from error


def _unpacked(member: IO[bytes], size: int, path: Path) -> Array:
    shape, by_columns, dtype = read_header(member, size)
    if by_columns:
        raise ValueError("a large array is in Fortran order")
    kept = np.float32 if dtype.kind in "fiu" else dtype
    array = room(shape, kept, near=path)
    row = int(np.prod(shape[1:])) * dtype.itemsize
    for rows in row_blocks(array):
        count = rows.stop - rows.start
        data = member.read(count * row)
        if len(data) < count * row:
            raise EOFError("it is truncated")
        with np.errstate(over="ignore"):
            array[rows] = np.frombuffer(data, dtype=dtype).reshape(count, *shape[1:])
    return array
