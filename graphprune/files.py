"""Read files as data, never as code, and write them atomically: a file is complete or absent."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError

from graphprune.errors import InputError

# A file may claim more than this only if its size is a plausible fraction of the claim.
_LARGE_BYTES = 2**30
_FAIR_RATIO = 200
# Exceptions raised for a damaged archive, or for a file that is not an archive.
BROKEN_ARCHIVE = (
    zipfile.BadZipFile,
    zlib.error,
    NotImplementedError,
    RuntimeError,
    ValueError,
    OSError,
    EOFError,
    KeyError,
)


_guards: list[Callable[[Path], None]] = []


@contextmanager
def guarded(check: Callable[[Path], None]) -> Iterator[None]:
    """Inside the block, in all threads, call ``check(path)`` before `write_atomic` writes; it may raise."""
    _guards.append(check)
    try:
        yield
    finally:
        _guards.remove(check)


def write_atomic(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary file in the same folder, flush it to disk and rename it to ``path``.

    Raises:
        InputError: the disk is full, the folder is not writable, or a run would overwrite a file of another origin;
            ``path`` is then unchanged.
    """
    for check in _guards:
        check(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{path.parent} cannot be created ({error.strerror}); check the path and its permissions"
        ) from error
    # The suffix is kept, because writers such as numpy.save choose the format or extend the name by it.
    temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    try:
        write(temporary)
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except (
        OSError,
        RuntimeError,
        SafetensorError,
    ) as error:  # writers raise different errors for a full disk
        if isinstance(error, RuntimeError) and "CUDA" in str(error):
            raise  # an error of an earlier GPU step, which surfaces when its results are read
        reason = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{path} could not be written ({reason}); free some space, or choose another path"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def target_of_temporary(path: Path) -> Path | None:
    """The file that an unfinished `write_atomic` was writing, if ``path`` has the name of its temporary file.

    >>> str(target_of_temporary(Path("run/.tmp-123-scores.parquet"))), target_of_temporary(Path("scores.parquet"))
    ('run/scores.parquet', None)
    """
    prefix = re.match(r"\.tmp-\d+-", path.name)
    return path.with_name(path.name[prefix.end() :]) if prefix and prefix.end() < len(path.name) else None


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON with sorted keys; NaN and infinity are refused."""
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"
    write_text(path, text)


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Write bytes."""

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)

    write_atomic(path, write)


def write_npy(path: Path, array: npt.NDArray[Any]) -> None:
    """Write one array as ``.npy``."""
    write_atomic(path, lambda p: np.save(p, np.ascontiguousarray(array), allow_pickle=False))


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        InputError: the file does not exist or is not valid JSON.
    """
    must_exist(path)
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except (
        ValueError,
        RecursionError,
    ) as error:  # also numbers of thousands of digits, and very deep nesting
        raise InputError(f"{path} is not valid JSON ({error}); regenerate it or pass another file") from error


def read_npy(path: Path, *, mmap: bool = False) -> npt.NDArray[Any]:
    """Read one array from a ``.npy`` file, optionally memory-mapped.

    Raises:
        InputError: the file does not exist, is damaged, or contains pickled objects.
    """
    must_exist(path)
    try:
        with path.open("rb") as handle:
            read_header(handle, path.stat().st_size)
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r" if mmap else None, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise InputError(f"{path} is not a readable .npy array ({error}); save it with numpy.save") from error
    return array


def read_npz(path: Path, *, limit_gib: float = 64.0) -> dict[str, npt.NDArray[Any]]:
    """Read all arrays of an ``.npz`` file.

    All checks run before memory is allocated.

    Raises:
        InputError: the file does not exist, is damaged, contains pickled objects, unpacks to more than ``limit_gib``
            or to an implausible multiple of its size, or an array header disagrees with the archive.
    """
    must_exist(path)
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(info.file_size for info in archive.infolist())
            if unpacked > limit_gib * 2**30:
                raise InputError(
                    f"{path} unpacks to {unpacked / 2**30:.0f} GiB, more than the limit of {limit_gib:g} GiB; split it"
                )
            refuse_inflation(path, unpacked)
            return {name_of(info): read_member(archive, info) for info in archive.infolist()}
    except InputError:
        raise
    except BROKEN_ARCHIVE as error:
        raise InputError(
            f"{path} is not a readable .npz archive ({error}); save it with numpy.savez"
        ) from error


def name_of(info: zipfile.ZipInfo) -> str:
    """Name of an array in an ``.npz`` archive."""
    return info.filename.removesuffix(".npy")


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> npt.NDArray[Any]:
    """Read one array of an ``.npz`` archive; raises `ValueError` like `read_header`.

    `numpy.load` is not used, because it recognizes an archive by its first bytes instead of its directory at the end.
    """
    with archive.open(info) as member:
        read_header(member, info.file_size)
    with archive.open(info) as member:
        array: npt.NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
    return array


def refuse_inflation(path: Path, claimed_bytes: int) -> None:
    """Refuse a file that claims an implausible multiple of its size; such files are made to exhaust memory."""
    if claimed_bytes > max(_LARGE_BYTES, _FAIR_RATIO * path.stat().st_size):
        raise InputError(
            f"{path} claims {claimed_bytes / 2**30:.1f} GiB in a file of {path.stat().st_size:,} bytes; "
            "if this is correct, save it uncompressed"
        )


def read_header(handle: IO[bytes], size: int) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether the order is Fortran's, and dtype of a ``.npy`` file of ``size`` bytes.

    Raises:
        ValueError: the header is invalid, declares pickled objects, or claims more bytes than the file has.
    """
    try:
        version = np.lib.format.read_magic(handle)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, by_columns, dtype = read[version](handle)
    except Exception as error:  # a dozen kinds, from the tokenizer to the parser of dtypes
        raise ValueError(
            f"invalid .npy header: {str(error).splitlines()[0] if str(error) else 'empty'}"
        ) from error
    if dtype.hasobject:
        raise ValueError("it contains pickled objects, which can run code when they are loaded")
    claimed = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or claimed > size:
        raise ValueError(
            f"its header claims {claimed:,} bytes for shape {list(shape)} but the file has {size:,}"
        )
    return shape, by_columns, dtype


def must_exist(path: Path) -> Path:
    """Return ``path`` if it is a file.

    Raises:
        InputError: nothing exists there, or it is a folder.
    """
    if not path.is_file():
        kind = "is a folder, not a file" if path.is_dir() else "does not exist"
        raise InputError(f"{path} {kind}; check the path")
    return path


def sha256(path: Path) -> str:
    """SHA-256 hex digest of the content of a file."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def fingerprint(value: Any) -> str:
    """Short stable hash of JSON-like data with sorted keys; arrays and tensors enter with dtype, shape and content.

    >>> fingerprint({"a": 1, "b": [2]}) == fingerprint({"b": [2], "a": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _plain(value: Any) -> Any:
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return {"dtype": value.dtype.str, "shape": list(value.shape), "content": array_digest(x=value).hex()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


def array_digest(**parts: npt.ArrayLike | None) -> bytes:
    """Hash of named arrays: name, dtype, shape and content of each. None has a hash of its own.

    >>> same_bytes = np.arange(4, dtype=np.uint8)
    >>> array_digest(x=same_bytes) == array_digest(x=same_bytes.reshape(2, 2))
    False
    """
    digest = hashlib.blake2b()
    for name, part in parts.items():
        if part is None:
            digest.update(f"{name}: none\n".encode())
            continue
        array = np.asarray(part, order="C")
        digest.update(f"{name}: {array.dtype.str} {array.shape}\n".encode())
        # Viewed as bytes, because datetime arrays do not support the buffer protocol.
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.digest()


def require_finite(array: npt.NDArray[Any], what: str, ids: npt.NDArray[np.int64] | None = None) -> None:
    """Refuse NaN and infinity in ``[N, ...]``, which is read in blocks.

    Raises:
        InputError: a sample is not finite; the message gives the number of such samples and the first id.
    """
    bad = 0
    first: int | None = None
    for start in range(0, len(array), 65_536):
        block = np.asarray(array[start : start + 65_536])
        rows = np.flatnonzero(~np.isfinite(block).reshape(len(block), -1).all(axis=1))
        if len(rows) and first is None:
            first = start + int(rows[0])
        bad += len(rows)
    if first is not None:
        name = int(ids[first]) if ids is not None else first
        raise InputError(
            f"{what}: {bad} of {len(array)} samples contain NaN or infinite values, the first is id {name}; "
            "drop or repair them"
        )
