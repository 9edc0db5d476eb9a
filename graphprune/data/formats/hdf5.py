"""Series in ``.h5`` files as pandas writes them: METR-LA, PEMS-BAY, LargeST by year, AQI."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from graphprune.data.formats.common import Array, fill_clock, names, times
from graphprune.data.formats.large import room, row_blocks
from graphprune.data.sensors import SensorSeries
from graphprune.errors import InputError


def read(path: Path, *, missing: float | None, steps_per_day: int | None) -> SensorSeries:
    """The largest data frame with time stamps as rows and sensors as columns; nothing pickled is opened.

    A frame that is stored in one piece (neither chunked nor compressed) is memory-mapped.
    """
    try:
        import h5py
    except ImportError as error:
        raise InputError(f"{path} needs h5py; install it with: pip install 'graphprune[sensors]'") from error
    try:
        with h5py.File(path, "r") as file:
            frames: list[Any] = []
            file.visititems(lambda _, item: frames.append(item) if _is_frame(item) else None)
            if not frames:
                keys = ", ".join(sorted(file)) or "nothing"
                raise InputError(
                    f"{path} holds no pandas frame of numbers over time but {keys}; convert it to .npz"
                )
            frame = max(frames, key=lambda f: f["block0_values"].size)
            values, order = _values(path, frame)
            stamps = times(frame["axis1"][:], path)
            labels, faults = _labels(frame["axis0"], values.shape[1])
            key = Path(frame.name).name
    except OSError as error:
        raise InputError(f"{path} is not a readable HDF5 file ({error}); fetch it anew") from error
    values, stamps, filled = fill_clock(values, stamps, path)
    return SensorSeries(
        name=path.stem,
        values=values[:, :, None],
        timestamps=stamps,
        sensor_ids=tuple(labels[i] for i in order) if not faults else labels,
        channels=(key,),
        missing=missing,
        faults=(*faults, *filled),
    )


def _is_frame(item: Any) -> bool:
    wanted = {"axis0", "axis1", "block0_values"}
    return (
        hasattr(item, "keys")
        and wanted <= set(item)
        and item["block0_values"].ndim == 2
        and item["block0_values"].dtype.kind in "fiub"
        and item["axis1"].dtype.kind in "iu"
        and b"datetime" in _kind(item["axis1"])
    )


def _kind(dataset: Any) -> bytes:
    kind = dataset.attrs.get("kind", b"")
    return kind.encode() if isinstance(kind, str) else bytes(kind)


def _values(path: Path, frame: Any) -> tuple[Array, list[int]]:
    """Values ``[T, N]`` and for each column its place in the frame's own order of sensors."""
    blocks = sorted(key.removesuffix("_values") for key in frame if key.endswith("_values"))
    parts = [_mapped(path, frame[f"{block}_values"]) for block in blocks]
    columns = [frame[f"{block}_items"] for block in blocks]
    if len(parts) == 1:
        return parts[0], list(range(parts[0].shape[1]))
    if any(part.dtype.kind not in "fiub" for part in parts):
        raise InputError(f"{path}: some columns are not numbers; keep the readings only")
    place = {label: i for i, label in enumerate(frame["axis0"][:].tolist())}
    order = [place[label] for column in columns for label in column[:].tolist()]
    values = room((len(parts[0]), sum(part.shape[1] for part in parts)), near=path)
    for rows in row_blocks(values):
        np.concatenate([part[rows] for part in parts], axis=1, out=values[rows], casting="same_kind")
    return values, order


def _mapped(path: Path, dataset: Any) -> Array:
    offset = dataset.id.get_offset()
    if dataset.chunks is None and offset is not None and dataset.dtype.isnative and dataset.dtype.kind == "f":
        return np.memmap(path, dtype=dataset.dtype, mode="c", offset=offset, shape=dataset.shape)
    values = room(dataset.shape, near=path)
    for rows in row_blocks(values):
        values[rows] = dataset[rows]
    return values


def _labels(axis: Any, count: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sensor names, or numbers and a fault where pandas has pickled the names."""
    if axis.dtype.kind in "OV" or len(axis) != count:
        return names(None, "sensor", count), ("the file's sensor names are pickled and were not read",)
    labels: Iterable[Any] = axis[:].tolist()
    return names(labels, "sensor", count), ()
