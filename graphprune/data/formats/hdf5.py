"""Series and link matrices in ``.h5`` files of pandas: METR-LA, PEMS-BAY, LargeST by year, AQI."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from graphprune.data.formats.clocks import fill_clock, times
from graphprune.data.formats.common import Array, names
from graphprune.data.formats.large import room, row_blocks
from graphprune.data.sensors import SensorSeries
from graphprune.errors import InputError

T = TypeVar("T")
Names = list[str] | None
_FRAME = {"axis0", "axis1", "block0_items", "block0_values"}
_PICKLED = "the sensor names in the file are pickled and were not read"


def read(path: Path, *, missing: float | None, steps_per_day: int | None) -> SensorSeries:
    """Read the largest data frame with time stamps as rows and sensors as columns; pickled data are never loaded.

    A frame that is stored contiguously (neither chunked nor compressed) is memory-mapped. Frames of masks are ignored;
    other frames of the same size are reported.
    """
    del steps_per_day

    def series(file: Any) -> SensorSeries:
        frames = sorted((f for f in _frames(file) if _over_time(f)), key=_preference, reverse=True)
        if not frames:
            keys = ", ".join(sorted(file)) or "nothing"
            raise InputError(
                f"{path} contains {keys} but no pandas frame of numbers over time; convert it to .npz"
            )
        frame = frames[0]
        values, labels = _values(path, frame)
        stamps = times(_stamps(frame["axis1"]), path)
        others = [f.name.strip("/") for f in frames[1:] if _preference(f) == _preference(frame)]
        unread = (f"frames of the same size were not read: {', '.join(others)}",) if others else ()
        pickled = (_PICKLED,) if labels is None else ()
        filled, stamps, gaps = fill_clock(values, stamps, path)
        return SensorSeries(
            name=path.stem,
            values=filled[:, :, None],
            timestamps=stamps,
            sensor_ids=names(labels, "sensor", values.shape[1], path),
            channels=(Path(frame.name).name,),
            missing=missing,
            faults=(*pickled, *unread, *gaps),
        )

    return _opened(path, series)


def read_matrix(path: Path) -> tuple[Array, Names, Names]:
    """Read the only matrix of a file: values ``[R, K]``, and the names of its rows and columns or None."""

    def matrix(file: Any) -> tuple[Array, Names, Names]:
        frames = [frame for frame in _frames(file) if not _over_time(frame)]
        bare: list[Any] = []
        file.visititems(lambda _, item: bare.append(item) if getattr(item, "ndim", 0) == 2 else None)
        found = frames or bare
        if len(found) != 1:
            listed = ", ".join(item.name for item in found) or "none"
            raise InputError(
                f"{path} must contain exactly one matrix of links (it has {listed}); save only this matrix"
            )
        if not frames:
            return bare[0][:], None, None
        values, columns = _values(path, frames[0])
        both = (_labels(frames[0]["axis1"]), columns)
        rows, cols = (None if labels is None else list(names(labels, "sensor", 0, path)) for labels in both)
        return values, rows, cols

    return _opened(path, matrix)


def _opened(path: Path, read: Callable[[Any], T]) -> T:
    try:
        import h5py
    except ImportError as error:
        raise InputError(f"{path} needs h5py; install it with: pip install 'graphprune[sensors]'") from error
    try:
        with h5py.File(path, "r") as file:
            return read(file)
    except InputError:
        raise
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, IndexError, AttributeError) as error:
        raise InputError(
            f"{path} is not a readable HDF5 file ({error}); download or regenerate it"
        ) from error


def _frames(file: Any) -> list[Any]:
    frames: list[Any] = []
    file.visititems(lambda _, item: frames.append(item) if _is_frame(item) else None)
    return frames


def _is_frame(item: Any) -> bool:
    return (
        hasattr(item, "keys")
        and set(item) >= _FRAME
        and item["block0_values"].ndim == 2
        and item["block0_values"].dtype.kind in "fiub"
    )


def _over_time(frame: Any) -> bool:
    return frame["axis1"].dtype.kind in "iu" and "datetime" in _kind(frame["axis1"])


def _preference(frame: Any) -> tuple[bool, int]:
    """Sort key: readings before masks (tsl also writes ``eval_mask``), then by size."""
    mask = frame["block0_values"].dtype.kind == "b" or "mask" in Path(frame.name).name.lower()
    return not mask, int(frame["block0_values"].size)


def _kind(dataset: Any) -> str:
    kind = dataset.attrs.get("kind", b"")
    return kind.decode("utf-8", "replace") if isinstance(kind, bytes) else str(kind)


def _stamps(axis: Any) -> Array:
    """Time stamps ``[T]``; pandas writes units other than nanoseconds in brackets."""
    unit = _kind(axis).partition("[")[2].rstrip("]") or "ns"
    stamps: Array = axis[:].astype(np.int64).astype(f"datetime64[{unit}]")
    return stamps


def _values(path: Path, frame: Any) -> tuple[Array, list[Any] | None]:
    """Values ``[T, N]`` and the name of each column; the order may differ from that of the frame."""
    blocks = sorted(key.removesuffix("_values") for key in frame if key.endswith("_values"))
    if any(frame[f"{block}_values"].dtype.kind not in "fiub" for block in blocks):
        raise InputError(f"{path}: some columns are not numbers; save only the readings")
    parts = [_mapped(path, frame[f"{block}_values"]) for block in blocks]
    columns = [_labels(frame[f"{block}_items"]) for block in blocks]
    known = [label for labels in columns for label in labels or ()]
    labels = known if len(known) == sum(part.shape[1] for part in parts) else None
    if len(parts) == 1:
        return parts[0], labels
    values = room((len(parts[0]), sum(part.shape[1] for part in parts)), near=path)
    for rows in row_blocks(values):
        with np.errstate(over="ignore"):
            np.concatenate([part[rows] for part in parts], axis=1, out=values[rows], casting="unsafe")
    return values, labels


def _mapped(path: Path, dataset: Any) -> Array:
    offset, kind = dataset.id.get_offset(), dataset.dtype
    if (
        dataset.chunks is None
        and offset is not None
        and kind.isnative
        and kind.kind == "f"
        and kind.itemsize <= 8
    ):
        return np.memmap(path, dtype=kind, mode="c", offset=offset, shape=dataset.shape)
    values = room(dataset.shape, near=path)
    with np.errstate(over="ignore"):
        for rows in row_blocks(values):
            values[rows] = dataset[rows]
    return values


def _labels(axis: Any) -> list[Any] | None:
    """Sensor names, or None if pandas has pickled them."""
    if axis.dtype.kind in "OV" or axis.ndim != 1:
        return None
    labels: list[Any] = axis[:].tolist()
    return labels
