"""Series in ``.npz``: our own layout, PEMS benchmarks and LargeST's training files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from graphprune.data.formats.common import (
    Array,
    clock,
    clock_or_refuse,
    fill_clock,
    names,
    numbers,
    times,
    with_channels,
)
from graphprune.data.formats.large import read_arrays, row_blocks
from graphprune.data.sensors import SensorSeries
from graphprune.errors import InputError

_PEMS_CHANNELS = ("flow", "occupancy", "speed")
_PEMS_STEPS_PER_DAY = 288


def read(path: Path, *, missing: float | None, steps_per_day: int | None) -> SensorSeries:
    """``values [T, N, C]`` with names and links (ours), or ``data [T, N, C]`` (PEMS, LargeST's his.npz)."""
    arrays = read_arrays(path)
    if "values" in arrays:
        return _own(path, arrays, missing, steps_per_day)
    if {"data", "mean", "std"} <= arrays.keys():
        return _large_st(path, arrays, missing)
    if "data" in arrays:
        return _pems(path, arrays["data"], missing, steps_per_day or _PEMS_STEPS_PER_DAY)
    raise InputError(f"{path} has no array 'values' [time, sensor, channel] but {sorted(arrays)}; rename it")


def _own(
    path: Path, arrays: Mapping[str, Array], missing: float | None, steps_per_day: int | None
) -> SensorSeries:
    values = with_channels(numbers(arrays["values"], "values", path))
    if "mask" in arrays:
        mask = with_channels(arrays["mask"].astype(bool))
        if mask.ndim != 3 or any(m not in (1, v) for m, v in zip(mask.shape, values.shape, strict=False)):
            shapes = f"mask is {list(mask.shape)} but values {list(values.shape)}"
            raise InputError(f"{path}: {shapes}; give the same shape")
        for rows in row_blocks(values):
            values[rows] = np.where(mask[rows], values[rows], np.nan)
    given = arrays.get("timestamps")
    stamps = clock_or_refuse(path, len(values), steps_per_day) if given is None else times(given, path)
    values, stamps, faults = fill_clock(values, stamps, path)
    sensors, channels = values.shape[1:] if values.ndim == 3 else (0, 0)
    links = {
        what: numbers(arrays[what], what, path) if what in arrays else None
        for what in ("adjacency", "distance_km", "correlation")
    }
    return SensorSeries(
        name=path.stem,
        values=values,
        timestamps=stamps,
        positions=_positions(arrays, path),
        sensor_ids=names(arrays.get("sensor_ids"), "sensor", sensors),
        channels=names(arrays.get("channels"), "channel", channels),
        missing=missing,
        adjacency=links["adjacency"],
        distance_km=links["distance_km"],
        correlation=links["correlation"],
        faults=faults,
    )


def _positions(arrays: Mapping[str, Array], path: Path) -> Array | None:
    if not {"lat", "lon"} <= arrays.keys():
        return None
    latitude, longitude = (numbers(arrays[what].reshape(-1), what, path) for what in ("lat", "lon"))
    if len(latitude) != len(longitude):
        raise InputError(f"{path}: {len(latitude)} lat for {len(longitude)} lon; give one each")
    return np.stack([latitude, longitude], axis=1)


def _pems(path: Path, data: Array, missing: float | None, steps_per_day: int) -> SensorSeries:
    values = with_channels(numbers(data, "data", path))
    if values.ndim != 3:
        raise InputError(f"{path}: 'data' is {list(values.shape)}; it must be [time, sensor, channel]")
    _, sensors, channels = values.shape
    # PEMS03 numbers its sensors by station; the list lies beside the readings.
    listed = path.with_suffix(".txt")
    stations = listed.read_text(encoding="utf-8").split() if listed.is_file() else []
    return SensorSeries(
        name=path.stem,
        values=values,
        timestamps=clock_or_refuse(path, len(values), steps_per_day),
        sensor_ids=names(stations if len(stations) == sensors else range(sensors), "sensor", sensors),
        channels=_PEMS_CHANNELS[:channels] if channels <= 3 else names(None, "channel", channels),
        missing=missing,
        faults=("the file tells no date: weekdays are counted from a Monday",),
    )


def _large_st(path: Path, arrays: Mapping[str, Array], missing: float | None) -> SensorSeries:
    data = numbers(arrays["data"], "data", path)
    if data.ndim != 3 or data.shape[2] < 3 or len(data) < 2:
        raise InputError(
            f"{path}: 'data' is {list(data.shape)}; it must be [time, sensor, flow + time + weekday]"
        )
    steps_per_day = round(1 / abs(float((data[1, 0, 1] - data[0, 0, 1]) % 1)))
    stamps = clock(
        len(data), steps_per_day, time_of_day=float(data[0, 0, 1]), weekday=round(float(data[0, 0, 2]) * 7)
    )
    flow, mean, std = data[:, :, :1], float(arrays["mean"]), float(arrays["std"])
    for rows in row_blocks(data):
        flow[rows] = flow[rows] * std + mean
    return SensorSeries(
        name=path.parent.name if path.stem == "his" else path.stem,
        values=flow,
        timestamps=stamps,
        sensor_ids=names(None, "sensor", data.shape[1]),
        channels=("flow",),
        missing=missing,
    )
