"""Series in a folder of BasicTS.

Versions 0.x write ``desc.json`` and ``data.dat``, 1.x ``meta.json`` and ``train|val|test_data.npy``.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from graphprune.data.formats.common import (
    Array,
    clock,
    names,
    numbers,
    whole_steps,
    with_channels,
    without_calendar,
)
from graphprune.data.formats.large import room, row_blocks
from graphprune.data.sensors import SensorSeries
from graphprune.errors import InputError
from graphprune.files import must_exist, read_json, read_npy

_PARTS = ("train", "val", "test")


def read(path: Path, *, missing: float | None, steps_per_day: int | None) -> SensorSeries:
    """Read all parts in time order; calendar channels are dropped, because they are derived from the clock."""
    if (path / "desc.json").is_file():
        return _with_dat(path, missing, steps_per_day)
    if (path / "meta.json").is_file():
        return _with_parts(path, missing, steps_per_day)
    raise InputError(
        f"{path} is a folder without desc.json or meta.json, so not a BasicTS folder; pass a file"
    )


def _with_dat(path: Path, missing: float | None, steps_per_day: int | None) -> SensorSeries:
    facts = _facts(path / "desc.json")
    shape = facts.get("shape")
    data = must_exist(path / "data.dat")
    size = data.stat().st_size
    whole = isinstance(shape, list) and len(shape) == 3 and all(type(n) is int and n > 0 for n in shape)
    if not isinstance(shape, list) or not whole or size != 4 * math.prod(shape):
        raise InputError(
            f"{data} has {size} bytes, which does not match float32 of shape {shape}; check desc.json"
        )
    values: Array = np.memmap(data, dtype=np.float32, mode="c", shape=tuple(shape))
    described = facts.get("feature_description")
    if described is not None and (not isinstance(described, list) or len(described) != shape[2]):
        raise InputError(
            f"{path / 'desc.json'} describes {described} for {shape[2]} channels; describe every channel"
        )
    channels = names([str(name) for name in described or ()] or None, "channel", shape[2], path)
    first = {name.lower(): float(values[0, 0, i]) for i, name in enumerate(channels)}
    readings, kept = without_calendar(values, channels)
    return _series(path, facts, readings, kept, first, missing, steps_per_day)


def _with_parts(path: Path, missing: float | None, steps_per_day: int | None) -> SensorSeries:
    facts = _facts(path / "meta.json")
    parts = [read_npy(path / f"{part}_data.npy", mmap=True) for part in _PARTS]
    if len({part.shape[1:] for part in parts}) > 1 or parts[0].ndim not in (2, 3):
        shapes = ", ".join(str(list(part.shape)) for part in parts)
        raise InputError(
            f"{path}: the parts have shapes {shapes}; they must be [time, sensor] of the same sensors"
        )
    joined = room((sum(map(len, parts)), *parts[0].shape[1:]), near=path / "meta.json")
    start = 0
    with np.errstate(over="ignore"):
        for part in parts:
            numbers(part[:0], "data", path)
            for rows in row_blocks(part):
                joined[start + rows.start : start + rows.stop] = part[rows]
            start += len(part)
    values = with_channels(joined)
    channels = names(None, "channel", values.shape[2], path)
    return _series(path, facts, values, channels, _first_stamps(path, facts), missing, steps_per_day)


def _first_stamps(path: Path, facts: dict[str, Any]) -> dict[str, float]:
    """Calendar values of the first time step by name; empty if the folder has none."""
    file = path / "train_timestamps.npy"
    if not file.is_file():
        return {}
    stamps, described = read_npy(file), facts.get("timestamps_description")
    count = len(described) if isinstance(described, list) else 0
    if stamps.ndim != 2 or not len(stamps) or stamps.shape[1] != count or stamps.dtype.kind not in "fiu":
        found = f"{stamps.dtype} {list(stamps.shape)}"
        raise InputError(
            f"{file} is {found} but meta.json describes {count} columns (timestamps_description); correct one of them"
        )
    return {str(name).lower(): float(value) for name, value in zip(described or (), stamps[0], strict=True)}


def _series(
    path: Path,
    facts: dict[str, Any],
    values: Array,
    channels: tuple[str, ...],
    first: dict[str, float],
    missing: float | None,
    steps_per_day: int | None,
) -> SensorSeries:
    minutes = facts.get("frequency (minutes)")
    if minutes is None and steps_per_day is None:
        raise InputError(f"{path}: the description has no 'frequency (minutes)'; set steps_per_day")
    if minutes is not None and not (isinstance(minutes, int | float) and 0 < minutes <= 1440):
        raise InputError(
            f"{path}: 'frequency (minutes)' is {minutes!r}; give a number above 0 and at most 1440"
        )
    time_of_day, weekday = (first.get(name, 0.0) for name in ("time of day", "day of week"))
    if not (0 <= time_of_day < 1 and 0 <= weekday < 1):
        raise InputError(
            f"{path}: time of day {time_of_day:g} and day of week {weekday:g} must be fractions below 1"
        )
    per_day = 1440 / minutes if minutes else steps_per_day or 1
    return SensorSeries(
        name=str(facts.get("name", path.name)),
        values=values,
        timestamps=clock(
            len(values), whole_steps(per_day, path), time_of_day=time_of_day, weekday=round(7 * weekday)
        ),
        sensor_ids=names(None, "sensor", values.shape[1], path),
        channels=channels,
        missing=missing,
    )


def _facts(path: Path) -> dict[str, Any]:
    facts = read_json(path)
    if not isinstance(facts, dict):
        raise InputError(
            f"{path} contains {json.dumps(facts)[:40]} instead of keys and values; download it again"
        )
    return facts
