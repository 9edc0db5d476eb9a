"""Reading files as data, and writing them so that they are whole or absent."""

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

# A file may claim more than this only if it holds a fair part of it.
_LARGE_BYTES = 2**30
_FAIR_RATIO = 200
# What reading an archive raises that is none, or that is damaged.
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
    """Inside the block, in all threads, ``check(path)`` is called before `write_atomic` writes; it may refuse."""
    _guards.append(check)
    try:
        yield
    finally:
        _guards.remove(check)


def write_atomic(path: Path, write: Callable[[Path], None]) -> None:
    """Lets ``write`` fill a temporary file in the same folder, flushes it to disk and renames it to ``path``.

    Raises:
        InputError: the disk is full, the place cannot be written, or a run would overwrite a file that is not its
            own; ``path`` is then as it was.
    """
    for check in _guards:
        check(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{path.parent} cannot be made ({error.strerror}); check the path and its permissions"
        ) from error
    # The suffix stays, because writers such as numpy's choose the format or append to the name by it.
    temporary = path.with_name(f".tmp-{os.getpid()}-{path.name}")
    try:
        write(temporary)
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except (OSError, RuntimeError, SafetensorError) as error:  # each writer has its own for a full disk
        if isinstance(error, RuntimeError) and "CUDA" in str(error):
            raise  # an earlier step's, which surfaces where its results are read
        reason = getattr(error, "strerror", None) or (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{path} could not be written ({reason}); free some space, or choose another place"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def target_of_temporary(path: Path) -> Path | None:
    """The file that `write_atomic` was going to write, if a file is called as what it has not finished."""
    prefix = re.match(r"\.tmp-\d+-", path.name)
    return path.with_name(path.name[prefix.end() :]) if prefix and prefix.end() < len(path.name) else None


def write_json(path: Path, value: Any) -> None:
    """Writes indented JSON with sorted keys; NaN and infinity are refused."""
    text = json.dumps(value, indent=1, sort_keys=True, allow_nan=False) + "\n"
    write_text(path, text)


def write_text(path: Path, text: str) -> None:
    """Writes UTF-8 text."""
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Writes bytes."""

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)

    write_atomic(path, write)


def write_npy(path: Path, array: npt.NDArray[Any]) -> None:
    """Writes one array in NumPy's format."""
    write_atomic(path, lambda p: np.save(p, np.ascontiguousarray(array), allow_pickle=False))


def read_json(path: Path) -> Any:
    """Parsed JSON, or an `InputError` that names the file."""
    try:
        text = must_exist(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not valid JSON ({error}); write it anew or pass another file") from error
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # also numbers of thousands of digits, and endless brackets
        raise InputError(f"{path} is not valid JSON ({error}); write it anew or pass another file") from error


def read_npy(path: Path, *, mmap: bool = False) -> npt.NDArray[Any]:
    """One array from a ``.npy`` file, memory-mapped on request; pickled objects are refused."""
    try:
        with must_exist(path).open("rb") as handle:
            read_header(handle, path.stat().st_size)
        array: npt.NDArray[Any] = np.load(path, mmap_mode="r" if mmap else None, allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not a readable .npy array ({error}); save it with numpy.save") from error
    return array


def read_npz(path: Path, *, limit_gib: float = 64.0) -> dict[str, npt.NDArray[Any]]:
    """All arrays of an ``.npz`` file.

    Pickled objects, archives that unpack beyond ``limit_gib`` or to much more than the file could fairly hold, and
    arrays whose header claims another size than the archive tells are refused before memory is taken.
    """
    try:
        with zipfile.ZipFile(must_exist(path)) as archive:
            unpacked = sum(info.file_size for info in archive.infolist())
            if unpacked > limit_gib * 2**30:
                raise InputError(
                    f"{path} unpacks to {unpacked / 2**30:.0f} GiB, over the limit of {limit_gib:g}; split it"
                )
            refuse_inflation(path, unpacked)
            return {name_of(info): read_member(archive, info) for info in archive.infolist()}
    except BROKEN_ARCHIVE as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"{path} is not a readable .npz archive ({error}); save it with numpy.savez"
        ) from error


def name_of(info: zipfile.ZipInfo) -> str:
    """The array's name in an ``.npz`` archive."""
    return info.filename.removesuffix(".npy")


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> npt.NDArray[Any]:
    """One array of an ``.npz`` archive; `ValueError` as `read_header`.

    Not by `numpy.load`, which goes by a file's first bytes where an archive goes by its last.
    """
    with archive.open(info) as member:
        read_header(member, info.file_size)
    with archive.open(info) as member:
        array: npt.NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
    return array


def refuse_inflation(path: Path, claimed_bytes: int) -> None:
    """Refuses a file that claims to hold far more than it could: such files exist to exhaust memory."""
    if claimed_bytes > max(_LARGE_BYTES, _FAIR_RATIO * path.stat().st_size):
        raise InputError(
            f"{path} claims {claimed_bytes / 2**30:.1f} GiB in a file of {path.stat().st_size:,} bytes; "
            "if that is meant, save it uncompressed"
        )


def read_header(handle: IO[bytes], size: int) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, whether it lies in Fortran's order, and dtype of a ``.npy`` file of ``size`` bytes.

    Raises:
        ValueError: it is no such header, tells of pickled objects, or claims more than the file has.
    """
    try:
        version = np.lib.format.read_magic(handle)
        read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, by_columns, dtype = read[version](handle)
    except Exception as error:  # a dozen kinds, from the tokenizer to the parser of dtypes
        raise ValueError(
            f"its header is none: {str(error).splitlines()[0] if str(error) else 'empty'}"
        ) from error
    if dtype.hasobject:
        raise ValueError("it holds pickled objects, which can run code when they are opened")
    claimed = math.prod(shape) * dtype.itemsize
    if min(shape, default=0) < 0 or claimed > size:
        raise ValueError(f"its header claims {claimed:,} bytes of shape {list(shape)}, the file has {size:,}")
    return shape, by_columns, dtype


def must_exist(path: Path) -> Path:
    """``path`` itself if it is a file, else an `InputError`."""
    if not path.is_file():
        kind = "is a folder, not a file" if path.is_dir() else "does not exist"
        raise InputError(f"{path} {kind}; check the path")
    return path


def sha256(path: Path) -> str:
    """Hex digest of a file's content."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def fingerprint(value: Any) -> str:
    """Short stable hash of JSON-like data (keys sorted); arrays and tensors count with dtype, shape and content."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=_plain)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _plain(value: Any) -> Any:
    if hasattr(value, "detach"):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return {"dtype": value.dtype.str, "shape": list(value.shape), "content": array_digest(x=value).hex()}
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)


def array_digest(**parts: npt.ArrayLike | None) -> bytes:
    """Hash of named arrays: each one's name, dtype, shape and content. None is a part too, and tells itself apart.

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
        # As bytes, because datetimes have no buffer of their own.
        digest.update(array.reshape(-1).view(np.uint8).data)
    return digest.digest()


def require_finite(array: npt.NDArray[Any], what: str, ids: npt.NDArray[np.int64] | None = None) -> None:
    """Refuses NaN and infinity, saying how many rows and the first id. Works through ``[N, ...]`` in blocks."""
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
            f"{what}: {bad} of {len(array)} samples hold NaN or infinite values, the first is id {name}; "
            "drop or repair them"
        )
