"""Series in ``.csv``: a row per time, a column per sensor (UrbanEV, ST-EVCDP, SZ-Taxi)."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np

from graphprune.data.formats.common import Array, Times, clock_or_refuse, fill_clock, names, numbers, times
from graphprune.data.sensors import SensorSeries
from graphprune.errors import InputError

_INDEX_NAMES = ("", "time", "timestamp", "timestamps", "date", "datetime", "index", "unnamed: 0")
_CLOCK_PARTS = ("year", "month", "day", "hour", "minute", "second")


def read(path: Path, *, missing: float | None, steps_per_day: int | None) -> SensorSeries:
    """One channel, named after the file; the first column may hold the time. Empty cells are missing.

    The clock may also stand in ``time.csv`` beside it: ``year, month, day, hour, minute, second`` (ST-EVCDP).
    """
    header, columns = read_columns(path)
    stamps: Times | None = None
    if header is not None and (
        header[0].strip().lower() in _INDEX_NAMES or columns[0].dtype.kind not in "fiu"
    ):
        if columns[0].dtype.kind not in "fiu":
            stamps = times(columns[0], path)
        header, columns = header[1:], columns[1:]
    if not columns:
        raise InputError(f"{path} has no column of readings; write one column per sensor")
    if stamps is None and (beside := path.with_name("time.csv")).is_file() and beside != path:
        stamps = _clock_parts(beside)
    if stamps is None:
        stamps = clock_or_refuse(path, len(columns[0]), steps_per_day)
    values = np.stack(
        [numbers(c, h, path) for c, h in zip(columns, names(header, "sensor", len(columns)), strict=True)], 1
    )
    values, stamps, faults = fill_clock(values, stamps, path)
    return SensorSeries(
        name=path.stem,
        values=values[:, :, None],
        timestamps=stamps,
        sensor_ids=names(header, "sensor", len(columns)),
        channels=(path.stem,),
        missing=missing,
        faults=faults,
    )


def read_columns(path: Path) -> tuple[list[str] | None, list[Array]]:
    """Header (None where the first row holds numbers with decimals) and columns: numbers, dates or texts."""
    import pyarrow as pa
    from pyarrow import csv as pacsv

    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            first = next(csv.reader(handle), [])
        if not first:
            raise InputError(f"{path} begins with an empty line; begin with the names of the columns")
        headless = (
            bool(first) and all(_is_number(cell) for cell in first) and any("." in cell for cell in first)
        )
        table = pacsv.read_csv(
            path,
            read_options=pacsv.ReadOptions(
                skip_rows=0 if headless else 1, column_names=[str(i) for i in range(len(first))]
            ),
            convert_options=pacsv.ConvertOptions(strings_can_be_null=True),
        )
        columns = [_column(table.column(i)) for i in range(table.num_columns)]
    except (pa.ArrowInvalid, UnicodeDecodeError, csv.Error) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{path} is not a readable table ({reason}); write comma-separated columns"
        ) from error
    if not table.num_rows:
        raise InputError(f"{path} holds no rows; write one per time step")
    return None if headless else first, columns


def _column(column: Any) -> Array:
    import pyarrow as pa

    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return np.asarray(column.to_numpy()).astype("datetime64[s]")
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan, dtype=np.float32)
    values = np.asarray(column.to_numpy())
    return values.astype(np.str_) if values.dtype == object else values


def _clock_parts(path: Path) -> Times:
    header, columns = read_columns(path)
    parts = dict(zip([name.strip().lower() for name in header or []], columns, strict=False))
    if not {"year", "month", "day"} <= parts.keys():
        raise InputError(f"{path} has no columns {', '.join(_CLOCK_PARTS)}; name them so")
    whole = {name: parts[name].astype(np.int64) for name in _CLOCK_PARTS if name in parts}
    months = (whole["year"] - 1970) * 12 + whole["month"] - 1
    days = months.astype("datetime64[M]").astype("datetime64[D]") + (whole["day"] - 1).astype(
        "timedelta64[D]"
    )
    seconds = sum(
        (whole[n] * scale for n, scale in (("hour", 3600), ("minute", 60), ("second", 1)) if n in whole),
        start=np.zeros(len(months), dtype=np.int64),
    )
    stamps: Times = days.astype("datetime64[s]") + seconds.astype("timedelta64[s]")
    return stamps


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
