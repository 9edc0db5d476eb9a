"""Series in one ``.npy`` array, memory-mapped."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np

from graphprune.data.formats.clocks import fill_clock, stamps_or_clock
from graphprune.data.formats.common import names, numbers, with_channels
from graphprune.data.formats.large import as_float32
from graphprune.data.sensors import SensorSeries
from graphprune.errors import InputError
from graphprune.files import read_npy


def read(path: Path, *, missing: float | None, steps_per_day: int | None) -> SensorSeries:
    """Read ``[T, N]`` or ``[T, N, C]``, and time stamps ``[T]`` from ``<name>_timestamps.npy`` if this file exists."""
    stored = read_npy(path, mmap=True)
    if stored.ndim not in (2, 3):
        raise InputError(
            f"{path} has shape {list(stored.shape)}; give [time, sensor] or [time, sensor, channel]"
        )
    kind = stored.dtype
    if kind.kind == "f" and kind.isnative and kind.itemsize <= 8 and isinstance(stored, np.memmap):
        # Copy-on-write: torch requires writable memory, and the file must not change.
        order: Literal["C", "F"] = "C" if stored.flags.c_contiguous else "F"
        values = with_channels(np.memmap(path, kind, "c", stored.offset, tuple(stored.shape), order))
    else:
        numbers(stored[:0], "values", path)
        values = with_channels(as_float32(stored, near=path))
    beside = path.with_name(f"{path.stem}_timestamps.npy")
    stamps = read_npy(beside) if beside.is_file() else None
    steps = len(values)
    values, clock, faults = fill_clock(
        values, stamps_or_clock(stamps, path, steps, steps_per_day, where=beside), path
    )
    return SensorSeries(
        name=path.stem,
        values=values,
        timestamps=clock,
        sensor_ids=names(None, "sensor", values.shape[1], path),
        channels=names(None, "channel", values.shape[2], path),
        missing=missing,
        faults=faults,
    )
