"""Series in a folder as BasicTS lays it out.

Versions 0.x write ``desc.json`` and ``data.dat``, 1.x ``meta.json`` and ``train|val|test_data.npy``.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from graphprune.data.formats.common import Array, clock, names, numbers, with_channels, without_calendar
from graphprune.data.formats.large import room, row_blocks
from graphprune.data.sensors import SensorSeries
from graphprune.errors import InputError
from graphprune.files import must_exist, read_json, read_npy

_PARTS = ("train", "val", "test")


def read(path: Path, *, missing: float | None, steps_per_day: int | None) -> SensorSeries:
    """All parts joined in time order; channels of the calendar are dropped and derived from the clock."""
    if (path / "desc.json").is_file():
        return _with_dat(path, missing, steps_per_day)
    if (path / "meta.json").is_file():
        return _with_parts(path, missing, steps_per_day)
    raise InputError(f"{path} is a folder without desc.json or meta.json (BasicTS); pass a file")


def _with_dat(path: Path, missing: float | None, steps_per_day: int | None) -> SensorSeries:
    facts = _facts(path / "desc.json")
    shape = tuple(facts.get("shape", ()))
    data = must_exist(path / "data.dat")
    if len(shape) != 3 or data.stat().st_size != 4 * int(np.prod(shape)):
        size = data.stat().st_size
        raise InputError(
            f"{data} has {size} bytes, which is not float32 {list(shape)}; check desc.json's shape"
        )
    values: Array = np.memmap(data, dtype=np.float32, mode="c", shape=shape)
    described = facts.get("feature_description")
    channels = names(described if described and len(described) == shape[2] else None, "channel", shape[2])
    first = {name.lower(): float(values[0, 0, i]) for i, name in enumerate(channels)}
    readings, kept = without_calendar(values, channels)
    return _series(path, facts, readings, kept, first, missing, steps_per_day)


def _with_parts(path: Path, missing: float | None, steps_per_day: int | None) -> SensorSeries:
    facts = _facts(path / "meta.json")
    parts = [read_npy(path / f"{part}_data.npy", mmap=True) for part in _PARTS]
    if len({part.shape[1:] for part in parts}) > 1 or parts[0].ndim not in (2, 3):
        shapes = ", ".join(str(list(part.shape)) for part in parts)
        raise InputError(f"{path}: the parts are {shapes}; they must be [time, sensor] of the same sensors")
    joined = room((sum(map(len, parts)), *parts[0].shape[1:]), near=path / "meta.json")
    start = 0
    for part in parts:
        numbers(part[:0], "data", path)
        for rows in row_blocks(part):
            joined[start + rows.start : start + rows.stop] = part[rows]
        start += len(part)
    values = with_channels(joined)
    first: dict[str, float] = {}
    stamps = path / "train_timestamps.npy"
    if stamps.is_file():
        described = facts.get("timestamps_description", [])
        first = {name.lower(): float(v) for name, v in zip(described, read_npy(stamps)[0], strict=False)}
    channels = names(None, "channel", values.shape[2])
    return _series(path, facts, values, channels, first, missing, steps_per_day)


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
    if steps_per_day is None and not minutes:
        raise InputError(f"{path}: the description tells no 'frequency (minutes)'; set steps_per_day")
    per_day = steps_per_day or round(1440 / float(minutes or 1440))
    return SensorSeries(
        name=str(facts.get("name", path.name)),
        values=values,
        timestamps=clock(
            len(values),
            per_day,
            time_of_day=first.get("time of day", 0.0),
            weekday=round(7 * first.get("day of week", 0.0)),
        ),
        sensor_ids=names(None, "sensor", values.shape[1]),
        channels=channels,
        missing=missing,
    )


def _facts(path: Path) -> dict[str, Any]:
    facts = read_json(path)
    if not isinstance(facts, dict):
        raise InputError(f"{path} holds no keys and values but {json.dumps(facts)[:40]}; fetch it anew")
    return facts
