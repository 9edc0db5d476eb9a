"""Series in ``.npz``: our own layout, the PEMS benchmarks, and training files of LargeST."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from graphprune.data.formats.clocks import fill_clock, stamps_or_clock
from graphprune.data.formats.common import (
    Array,
    clock,
    clock_or_refuse,
    link_matrix,
    names,
    numbers,
    whole_steps,
    with_channels,
)
from graphprune.data.formats.large import read_arrays, row_blocks
from graphprune.data.sensors import SensorSeries
from graphprune.errors import InputError

_PEMS_CHANNELS = ("flow", "occupancy", "speed")
_PEMS_STEPS_PER_DAY = 288
_LINKS = ("adjacency", "distance_km", "correlation")
_BESIDE = ("mask", "timestamps", "sensor_ids", "channels", *_LINKS, "lat", "lon")
# Other common names of our arrays.
_ALIASES = {
    "adj": "adjacency",
    "dist": "distance_km",
    "corr": "correlation",
    "time": "timestamps",
    "t": "timestamps",
}
_ALIASES |= {"date": "timestamps", "dates": "timestamps", "clock": "timestamps", "ids": "sensor_ids"}
_ALIASES |= {"sensors": "sensor_ids", "stations": "sensor_ids", "names": "sensor_ids", "features": "channels"}
_ALIASES |= {"latitude": "lat", "longitude": "lon", "lng": "lon", "long": "lon", "observed": "mask"}


def read(path: Path, *, missing: float | None, steps_per_day: int | None) -> SensorSeries:
    """Read ``values [T, N, C]`` with names and links (ours), or ``data [T, N, C]`` (PEMS, his.npz of LargeST)."""
    arrays = read_arrays(path)
    if "values" in arrays:
        return _own(path, arrays, missing, steps_per_day)
    if "data" in arrays:
        beside = sorted(arrays.keys() & {*_BESIDE})
        if beside:
            raise InputError(
                f"{path}: {', '.join(beside)} cannot be combined with 'data'; rename 'data' to 'values'"
            )
        if {"mean", "std"} <= arrays.keys():
            return _large_st(path, arrays, missing)
        return _pems(path, arrays, missing, steps_per_day or _PEMS_STEPS_PER_DAY)
    raise InputError(
        f"{path} has no array 'values' [time, sensor, channel] (its arrays: {sorted(arrays)}); rename the readings"
    )


def _own(
    path: Path, arrays: Mapping[str, Array], missing: float | None, steps_per_day: int | None
) -> SensorSeries:
    unused = _unused(arrays)
    values = _readings(arrays["values"], "values", path)
    if "mask" in arrays:
        _apply_mask(values, arrays["mask"], path)
    if "timestamps" not in arrays and steps_per_day is None and unused:
        raise InputError(
            f"{path} has no time stamps ({unused[0]}); rename it or set steps_per_day (288 for 5 minutes)"
        )
    stamps = stamps_or_clock(arrays.get("timestamps"), path, len(values), steps_per_day)
    values, stamps, faults = fill_clock(values, stamps, path)
    links = {what: link_matrix(arrays[what], what, path) if what in arrays else None for what in _LINKS}
    return SensorSeries(
        name=path.stem,
        values=values,
        timestamps=stamps,
        positions=_positions(arrays, path),
        sensor_ids=names(arrays.get("sensor_ids"), "sensor", values.shape[1], path),
        channels=names(arrays.get("channels"), "channel", values.shape[2], path),
        missing=missing,
        adjacency=links["adjacency"],
        distance_km=links["distance_km"],
        correlation=links["correlation"],
        faults=(*faults, *unused),
    )


def _readings(array: Array, what: str, path: Path) -> Array:
    """Convert ``[T, N]`` or ``[T, N, C]`` to ``[T, N, C]`` float32."""
    if array.ndim not in (2, 3):
        raise InputError(
            f"{path}: '{what}' has shape {list(array.shape)}; give [time, sensor] or [time, sensor, channel]"
        )
    if not array.size:
        raise InputError(f"{path}: '{what}' {list(array.shape)} is empty; give at least one of each")
    return with_channels(numbers(array, what, path))


def _unused(arrays: Mapping[str, Array]) -> tuple[str, ...]:
    """Known issues: arrays that are ignored although their names are similar to the expected ones."""
    reports = []
    for key in sorted(arrays.keys() - {"values", *_BESIDE}):
        close = difflib.get_close_matches(key.lower(), _BESIDE, n=1, cutoff=0.75)
        meant = _ALIASES.get(key.lower()) or (close[0] if close else None)
        if meant is not None and meant not in arrays:
            reports.append(f"the array '{key}' was ignored; should it be called '{meant}'?")
    if ("lat" in arrays) != ("lon" in arrays):
        reports.append("the sensors have no positions; give both lat and lon")
    return tuple(reports)


def _apply_mask(values: Array, mask: Array, path: Path) -> None:
    """Set readings to NaN if ``mask`` is false; the mask may be broadcast over channels."""
    given = list(mask.shape)
    mask = with_channels(mask)
    if mask.ndim != 3 or any(m not in (1, v) for m, v in zip(mask.shape, values.shape, strict=True)):
        raise InputError(
            f"{path}: mask has shape {given} but values {list(values.shape)}; give both the same shape"
        )
    if mask.dtype.kind not in "biuf":
        raise InputError(
            f"{path}: mask is {mask.dtype}; give true (or 1) for observed readings, otherwise false"
        )
    mask = np.broadcast_to(mask, (len(values), *mask.shape[1:]))
    for rows in row_blocks(values):
        block = mask[rows]
        if mask.dtype.kind != "b" and not ((block == 0) | (block == 1)).all():
            raise InputError(f"{path}: mask contains values other than 0 and 1; give 1 for observed readings")
        values[rows] = np.where(block == 1, values[rows], np.nan)


def _positions(arrays: Mapping[str, Array], path: Path) -> Array | None:
    if not {"lat", "lon"} <= arrays.keys():
        return None
    latitude, longitude = (numbers(arrays[what].reshape(-1), what, path) for what in ("lat", "lon"))
    if len(latitude) != len(longitude):
        raise InputError(f"{path}: {len(latitude)} lat for {len(longitude)} lon; give one of each per sensor")
    return np.stack([latitude, longitude], axis=1)


def _pems(path: Path, arrays: Mapping[str, Array], missing: float | None, steps_per_day: int) -> SensorSeries:
    values = _readings(arrays["data"], "data", path)
    _, sensors, channels = values.shape
    faults = ["the file contains no dates; weekdays are counted from a Monday"]
    stations = _station_list(path.with_suffix(".txt"))
    if stations is not None and len(stations) != sensors:
        faults.append(
            f"{path.stem}.txt was ignored: it lists {len(stations):,} stations for {sensors:,} sensors"
        )
        stations = None
    return SensorSeries(
        name=path.stem,
        values=values,
        timestamps=clock_or_refuse(path, len(values), steps_per_day),
        sensor_ids=names(stations or [str(i) for i in range(sensors)], "sensor", sensors, path),
        channels=_PEMS_CHANNELS[:channels] if channels <= 3 else names(None, "channel", channels, path),
        missing=missing,
        faults=(*faults, *_unused(arrays)),
    )


def _station_list(path: Path) -> list[str] | None:
    """Station names of PEMS03, in a text file with the name of the readings."""
    try:
        return path.read_text(encoding="utf-8-sig").split() if path.is_file() else None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} is not a list of stations ({error}); write one name per line, or remove it"
        ) from error


def _large_st(path: Path, arrays: Mapping[str, Array], missing: float | None) -> SensorSeries:
    data = numbers(arrays["data"], "data", path)
    if data.ndim != 3 or data.shape[2] < 3 or len(data) < 2 or not data.shape[1]:
        raise InputError(
            f"{path}: 'data' has shape {list(data.shape)}; it must be [time, sensor, flow + time + weekday]"
        )
    mean, std = (_number(arrays[what], what, path) for what in ("mean", "std"))
    if std <= 0:
        raise InputError(f"{path}: 'std' is {std:g}; give a number above 0")
    stamps = _large_st_clock(data[:, 0, 1].astype(np.float64), float(data[0, 0, 2]), path)
    flow = data[:, :, :1]
    with np.errstate(over="ignore"):
        for rows in row_blocks(data):
            flow[rows] = flow[rows] * std + mean
    return SensorSeries(
        name=path.parent.name if path.stem == "his" else path.stem,
        values=flow,
        timestamps=stamps,
        sensor_ids=names(None, "sensor", data.shape[1], path),
        channels=("flow",),
        missing=missing,
    )


def _large_st_clock(of_day: Array, weekday: float, path: Path) -> Array:
    """The clock from the time of day ``[T]`` as a fraction and the first day of the week as a fraction."""
    step = float((of_day[1] - of_day[0]) % 1)
    if not (np.isfinite(of_day).all() and 0 < step < 1 and 0 <= of_day[0] < 1 and 0 <= weekday < 1):
        raise InputError(
            f"{path}: channel 1 of 'data' must be the time of day and channel 2 the day of the week, both from 0 to 1 "
            f"(they begin with {of_day[0]:g}, {of_day[1]:g} and {weekday:g}); give 'values' and 'timestamps' instead"
        )
    steps_per_day = whole_steps(round(1 / step), path)
    drift = (of_day - of_day[0] - np.arange(len(of_day)) / steps_per_day + 0.5) % 1 - 0.5
    if (np.abs(drift) > 0.5 / steps_per_day).any():
        at = int(np.argmax(np.abs(drift) > 0.5 / steps_per_day))
        raise InputError(
            f"{path}: the time of day jumps in row {at}; write rows at equal time steps, with NaN for missing readings"
        )
    return clock(len(of_day), steps_per_day, time_of_day=float(of_day[0]), weekday=round(weekday * 7))


def _number(array: Array, what: str, path: Path) -> float:
    if array.size != 1 or array.dtype.kind not in "fiu" or not np.isfinite(array).all():
        raise InputError(f"{path}: '{what}' is {array.dtype} {list(array.shape)}; give one finite number")
    return float(array.reshape(()))
