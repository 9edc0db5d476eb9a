"""Series in one ``.npy`` array, memory-mapped."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from graphprune.data.formats.common import clock_or_refuse, names, numbers, times, with_channels
from graphprune.data.formats.large import as_float32
from graphprune.data.sensors import SensorSeries
from graphprune.errors import InputError
from graphprune.files import read_npy


def read(path: Path, *, missing: float | None, steps_per_day: int | None) -> SensorSeries:
    """``[T, N]`` or ``[T, N, C]``; time stamps may lie beside it in ``<name>_timestamps.npy`` (``[T]``)."""
    stored = read_npy(path, mmap=True)
    if stored.ndim not in (2, 3):
        raise InputError(f"{path} is {list(stored.shape)}; give [time, sensor] or [time, sensor, channel]")
    if stored.dtype.kind == "f" and stored.dtype.isnative and isinstance(stored, np.memmap):
        # Private pages: torch wants writable memory, and nothing reaches the file.
        values = with_channels(np.memmap(path, stored.dtype, "c", stored.offset, stored.shape))
    else:
        numbers(stored[:0], "values", path)
        values = with_channels(as_float32(stored, near=path))
    beside = path.with_name(f"{path.stem}_timestamps.npy")
    stamps = (
        times(read_npy(beside), beside)
        if beside.is_file()
        else clock_or_refuse(path, len(values), steps_per_day)
    )
    return SensorSeries(
        name=path.stem,
        values=values,
        timestamps=stamps,
        sensor_ids=names(None, "sensor", values.shape[1]),
        channels=names(None, "channel", values.shape[2]),
        missing=missing,
    )
