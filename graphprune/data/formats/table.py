"""Series in ``.csv``: one row per time, one column per sensor (UrbanEV, ST-EVCDP, SZ-Taxi)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from graphprune.data.formats.clocks import EPOCH, column_kind, fill_clock, from_parts, is_date, times
from graphprune.data.formats.common import Array, Times, clock_or_refuse, names
from graphprune.data.formats.csvfile import as_number, first_row, names_in_first_row, numeric, read_rows
from graphprune.data.sensors import SensorSeries
from graphprune.errors import InputError

# A first column with one of these names must be a clock or an index.
_INDEX_NAMES = {"", "index", "unnamed: 0", "id", "row", "step", "t", "time", "timestamp", "timestamps", "ts"}
_INDEX_NAMES |= {
    "date",
    "datetime",
    "date_time",
    "datetime_utc",
    "time_utc",
    "utc",
    "epoch",
    "unix",
    "unix_time",
}
_INDEX_NAMES |= {"unixtime", "epoch_time", "epoch_ms", "timestamp_ms", "timestamp_utc", "local_time"}


def read(path: Path, *, missing: float | None, steps_per_day: int | None) -> SensorSeries:
    """Read one channel, named after the file. Empty cells are missing; without a header the sensors are numbered.

    The first column may be a clock (dates, or integral times since 1970), a running index, which is dropped, or an
    index followed by a clock. The clock may also be in a separate ``time.csv`` in the same folder: ``year, month, day,
    hour, minute, second`` (ST-EVCDP).
    """
    header, columns, faults = _table(path)
    top = 1 if header is None else 2
    header, columns, stamps = _clock(header, columns, path, top)
    if not columns:
        raise InputError(f"{path} has no column of readings; write one column per sensor")
    steps = len(columns[0])
    if stamps is None and (beside := path.with_name("time.csv")).is_file() and beside != path:
        stamps = _time_table(beside)
        if len(stamps) != steps:
            raise InputError(
                f"{beside} has {len(stamps)} rows but {path.name} {steps}; give one time per row"
            )
    if stamps is None:
        stamps = clock_or_refuse(path, steps, steps_per_day)
    sensors = names(header, "sensor", len(columns), path)
    for name, column in zip(sensors, columns, strict=True):
        if column.dtype.kind in "iuf" and column[0] >= EPOCH and column_kind(column) == "epoch":
            raise InputError(f"{path}: column '{name}' is a clock; write it as the first column")
    values = np.stack(
        [numeric(column, name, path, first_row=top) for name, column in zip(sensors, columns, strict=True)], 1
    )
    values, stamps, filled = fill_clock(values, stamps, path, first_row=top)
    return SensorSeries(
        name=path.stem,
        values=values[:, :, None],
        timestamps=stamps,
        sensor_ids=sensors,
        channels=(path.stem,),
        missing=missing,
        faults=(*faults, *filled),
    )


def _table(path: Path) -> tuple[list[str] | None, list[Array], tuple[str, ...]]:
    """Header or None, columns, and a known issue if the header is a guess."""
    first = first_row(path)
    try:
        columns = read_rows(path, len(first), skip=1)
    except InputError:
        if any(as_number(cell) is None and not is_date(cell) for cell in first):
            raise
        columns = []
    named, faults = names_in_first_row(first, columns) if columns else (False, ())
    return (first, columns, faults) if named else (None, read_rows(path, len(first), skip=0), faults)


def _clock(
    header: list[str] | None, columns: list[Array], path: Path, top: int
) -> tuple[list[str] | None, list[Array], Times | None]:
    """Header and columns after a clock or running index, and the clock or None."""
    for place in ("first", "second"):
        kind = column_kind(columns[0]) if columns else "readings"
        known = bool(header) and (header or [""])[0].lower() in _INDEX_NAMES
        if (kind == "readings" and not known) or (place == "second" and kind not in ("dates", "epoch")):
            break
        what = f"the {place} column" + (f" '{header[0]}'" if header else "")
        if kind in ("dates", "epoch") or (kind != "index" and _like_dates(columns[0])):
            stamps = times(columns[0], path, what=f"times in {what}", first_row=top)
            return (header and header[1:]), columns[1:], stamps
        if kind != "index":
            raise InputError(
                f"{path}: {what} contains {_beginning(columns[0], top)}: neither dates, times since 1970, nor an index "
                "of the rows; write dates such as 2024-01-31 23:55, or remove the column"
            )
        header, columns = (header and header[1:]), columns[1:]
    return header, columns, None


def _beginning(column: Array, top: int) -> str:
    """The first values of a column, and the first row in which the step changes."""
    shown = ", ".join(f"{value:g}" for value in column[:3])
    gaps = np.diff(column.astype(np.float64))
    other = np.flatnonzero(gaps != gaps[:1])
    return f"{shown}, ..." + (
        f" (then {column[other[0] + 1]:g} in row {top + other[0] + 1})" if len(other) else ""
    )


def _like_dates(column: Array) -> bool:
    """Whether numbers are as large as 20240131 or seconds since 1970, so an invalid clock instead of an index."""
    return bool((column >= 19_000_101).any())


def _time_table(path: Path) -> Times:
    first = first_row(path)
    columns = read_rows(path, len(first), skip=1)
    parts = dict(zip([name.lower() for name in first], columns, strict=True))
    if len(columns) and "year" not in parts and columns[0].dtype.kind == "M":
        return times(columns[0], path, first_row=2)
    return from_parts(parts, path, first_row=2)
