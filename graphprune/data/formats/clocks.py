"""Clocks of sensor files: dates, strings, seconds since 1970, running indices, and missing time stamps."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from graphprune.data.formats.common import Array, Times, clock_or_refuse, plain
from graphprune.data.formats.large import room, row_blocks
from graphprune.errors import InputError

Kind = Literal["dates", "epoch", "index", "steps", "readings"]

# A larger fraction of missing time stamps probably means a wrong file.
_MOST_MISSING = 0.5
# Smaller numbers are not times since 1970 (this is March 1973 in seconds).
EPOCH = 1e8
# From this fraction of equal gaps on, a column is an irregular clock or index instead of readings.
_STEADY_EPOCH = 0.5
_STEADY = 0.9
_UNITS = (("s", 1e11), ("ms", 1e14), ("us", 1e17), ("ns", 9.2e18))
# YYYYMMDD, then hours, minutes and seconds.
_DATE_DIGITS = (8, 10, 12, 14)
_WRITE = "write them as 2024-01-31 23:55"


def column_kind(column: Array) -> Kind:
    """Classify the content of a first column ``[T]``.

    ``dates``: dates or strings; ``epoch``: integral values as large as times since 1970, most of them one step apart;
    ``index``: integral values that ascend by 1; ``steps``: other numbers that almost all ascend by one step, such as an
    index with a gap; otherwise ``readings``.

    >>> column_kind(np.arange(5)), column_kind(np.array([0.1, 0.7, 0.3]))
    ('index', 'readings')
    """
    if column.dtype.kind not in "iuf":
        return "dates" if column.dtype.kind in "MSU" else "readings"
    values = column.astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):  # infinite and huge readings
        gaps = np.diff(values)
    gaps[~np.isfinite(gaps)] = np.nan
    if len(values) < 3 or np.isnan(gaps).all():
        return "readings"
    step = float(np.nanmedian(gaps))
    steady = float((gaps == step).mean())
    whole = not (values[np.isfinite(values)] % 1).any()
    if whole and np.nanmin(values) >= EPOCH and step and steady >= _STEADY_EPOCH:
        return "epoch"
    if step <= 0 or steady < _STEADY:
        return "readings"
    counted = whole and step == 1 and steady == 1 and values[0] >= 0
    return "index" if counted and not _dates_in_digits(column) else "steps"


def times(array: Array, path: Path, *, what: str = "time stamps", first_row: int = 0) -> Times:
    """Convert dates, ISO strings or integral times since 1970 to ``datetime64[s]`` ``[T]``.

    The unit of numbers (s, ms, us or ns) follows from their size. Strings with a time zone are converted to UTC. Dates
    in other orders, such as 31/01/2024, are refused, because the order of day and month is often ambiguous.

    Args:
        array: The time stamps.
        path: File, for messages.
        what: Name of the time stamps in messages.
        first_row: Row of the first time stamp, for messages.

    Raises:
        InputError: the shape is not ``[T]``, or a time stamp is missing or not a date; the message names its row.

    >>> times(np.array(["2024-01-31 23:55"]), Path("t.csv"))
    array(['2024-01-31T23:55:00'], dtype='datetime64[s]')
    """
    if array.ndim != 1:
        raise InputError(f"{path}: {what} have shape {list(array.shape)}; give one per time step, [time]")
    if array.dtype.kind in "iuf":
        array = _from_numbers(array, path, what, first_row)
    elif array.dtype.kind in "US":
        array = _from_texts(array, path, what, first_row)
    elif array.dtype.kind != "M":
        raise InputError(f"{path}: {what} are {array.dtype}; {_WRITE}")
    if np.isnat(array).any():
        row = first_row + int(np.argmax(np.isnat(array)))
        raise InputError(f"{path}: {what} are missing in row {row}; write the time of every row")
    seconds = array.astype("datetime64[s]")
    if len(array) > 1 and (np.diff(array) > np.timedelta64(0)).all() and not np.diff(seconds).all():
        raise InputError(
            f"{path}: {what} are less than a second apart; average the readings to whole seconds"
        )
    return seconds


def stamps_or_clock(
    array: Array | None, path: Path, steps: int, steps_per_day: int | None, *, where: Path | None = None
) -> Times:
    """The clock of ``steps`` readings from time stamps, or from ``steps_per_day`` if these are a running index.

    Args:
        array: The time stamps, or None.
        path: File of the readings.
        steps: Number of readings.
        steps_per_day: Readings per day, for files without a clock.
        where: File of the time stamps (default: ``path``).
    """
    where = where or path
    if array is not None and array.ndim == 1 and len(array) != steps:
        raise InputError(f"{where}: {len(array)} timestamps for {steps} in values; give one per time step")
    if array is None or (array.ndim == 1 and column_kind(array) == "index"):
        return clock_or_refuse(path, steps, steps_per_day)
    return times(array, where)


def fill_clock(
    values: Array, stamps: Times, path: Path, *, first_row: int = 0
) -> tuple[Array, Times, tuple[str, ...]]:
    """Insert rows of NaN for missing time stamps, and report their number; complete series are returned as views.

    Raises:
        InputError: the time stamps do not ascend, lie between the steps of the clock, or most of them are missing.
    """
    if len(stamps) < 2 or len(stamps) != len(values):
        return values, stamps, ()
    gaps = np.diff(stamps).astype(np.int64)
    if (gaps <= 0).any():
        row = 1 + int(np.argmax(gaps <= 0))
        again = "is a duplicate" if gaps[row - 1] == 0 else f"comes after {stamps[row - 1]}"
        raise InputError(
            f"{path}: time stamps do not ascend: row {first_row + row} ({stamps[row]}) {again}; sort the rows, remove "
            "duplicates, and use UTC if clocks are set back"
        )
    step = int(np.median(gaps))
    if (gaps == step).all():
        return values, stamps, ()
    total = int(gaps.sum()) // step + 1
    if (gaps % step).any() or total * (1 - _MOST_MISSING) > len(stamps):
        row = 1 + int(np.argmax(gaps % step > 0 if (gaps % step).any() else gaps))
        raise InputError(
            f"{path}: the clock jumps at {stamps[row]} (row {first_row + row}); write rows at equal time "
            "steps, with NaN for missing readings"
        )
    rows = np.concatenate([[0], np.cumsum(gaps // step)])
    filled = room((total, *values.shape[1:]), near=path)
    filled[:] = np.nan
    with np.errstate(over="ignore"):
        for block in row_blocks(values):
            filled[rows[block]] = values[block]
    missing = total - len(stamps)
    fault = f"{missing:,} of {total:,} time stamps are missing (rows of NaN were inserted)"
    return filled, stamps[0] + np.arange(total) * np.timedelta64(step, "s"), (fault,)


def from_parts(parts: dict[str, Array], path: Path, *, first_row: int = 0) -> Times:
    """Times ``[T]`` from the columns ``year, month, day`` and optionally ``hour, minute, second`` (ST-EVCDP)."""
    ranges = {"year": (1, 9999), "month": (1, 12), "day": (1, 31)}
    ranges |= {"hour": (0, 23), "minute": (0, 59), "second": (0, 59)}
    if not {"year", "month", "day"} <= parts.keys():
        raise InputError(f"{path} has no columns {', '.join(ranges)}; rename its columns")
    whole: dict[str, npt.NDArray[np.int64]] = {}
    for name, (least, most) in ranges.items():
        column = parts.get(name)
        if column is None:
            continue
        numeric = column.dtype.kind in "iuf"
        bad = (
            ~((column >= least) & (column <= most) & (column == np.round(column)))
            if numeric
            else np.array([True])
        )
        if bad.any():
            row = int(np.argmax(bad))
            raise InputError(
                f"{path} row {first_row + row}: {name} is '{plain(column[row])[:40]}'; write integers from "
                f"{least} to {most}"
            )
        whole[name] = column.astype(np.int64)
    months = ((whole["year"] - 1970) * 12 + whole["month"] - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (whole["day"] - 1).astype("timedelta64[D]")
    if (days.astype("datetime64[M]") != months).any():
        row = int(np.argmax(days.astype("datetime64[M]") != months))
        raise InputError(
            f"{path} row {first_row + row}: the month has no day {whole['day'][row]}; correct it"
        )
    stamps: Times = days.astype("datetime64[s]")
    for name, seconds in (("hour", 3600), ("minute", 60), ("second", 1)):
        if name in whole:
            stamps = stamps + (whole[name] * seconds).astype("timedelta64[s]")
    return stamps


def is_date(text: str) -> bool:
    """Whether a string is an ISO date, with or without a time.

    >>> is_date("2024-01-31 23:55"), is_date("31/01/2024")
    (True, False)
    """
    return _parsed([text]) is not None


def _from_numbers(array: Array, path: Path, what: str, first_row: int) -> Array:
    values = array.astype(np.float64)
    bad = ~(np.isfinite(values) & (values >= EPOCH) & (values < _UNITS[-1][1]))
    if _dates_in_digits(array):
        raise InputError(f"{path}: {what} contain {array[0]:.0f}, a date without separators; {_WRITE}")
    if bad.any():
        row = int(np.argmax(bad))
        raise InputError(
            f"{path}: {what} contain {values[row]:g} in row {first_row + row}, which is not a time since 1970; {_WRITE}"
        )
    if array.dtype.kind == "f" and array.dtype.itemsize < 8:
        raise InputError(
            f"{path}: {what} are {array.dtype}, too imprecise for times since 1970; save them as int64"
        )
    unit = next(unit for unit, limit in _UNITS if values.max(initial=0) < limit)
    # Floating-point seconds may have fractions, which would be lost in whole seconds.
    if unit == "s" and (values % 1).any():
        return np.round(values * 1e3).astype(np.int64).astype("datetime64[ms]")
    whole: Array = array.astype(np.int64).astype(f"datetime64[{unit}]")
    return whole


def _from_texts(array: Array, path: Path, what: str, first_row: int) -> Array:
    import pyarrow as pa

    texts = [cell.decode("utf-8", "replace") if isinstance(cell, bytes) else cell for cell in array.tolist()]
    parsed = _parsed(texts)
    if parsed is None:
        bad = next((i for i, text in enumerate(texts) if _parsed([text]) is None), None)
        fault = (
            "mix times with and without a time zone" if bad is None else f"contain '{plain(texts[bad])[:40]}'"
        )
        row = "" if bad is None else f" in row {first_row + bad}, which is not an ISO date"
        raise InputError(f"{path}: {what} {fault}{row}; {_WRITE}")
    stamps: Array = pa.array(parsed).to_numpy(zero_copy_only=False)
    return stamps


def _parsed(texts: Sequence[str]) -> Any:
    """A pyarrow array of time stamps, or None; times with a zone are converted to UTC."""
    import pyarrow as pa

    for unit in ("ns", "s"):
        for zone in (None, "UTC"):
            try:
                return pa.array([text.strip() for text in texts]).cast(pa.timestamp(unit, zone))
            except pa.ArrowInvalid:
                continue
    return None


def _dates_in_digits(array: Array) -> bool:
    """Whether all numbers have the form YYYYMMDD, optionally with hours, minutes and seconds, from 1900 to 2100."""
    values = array.astype(np.float64)
    if not len(values) or not np.isfinite(values).all() or (values % 1).any() or values.min() < 19_000_101:
        return False
    digits = len(f"{values[0]:.0f}")
    if digits not in _DATE_DIGITS or values.max() >= 10.0**digits:
        return False
    rest = values.astype(np.int64)
    for most in (59, 59, 23)[3 - (digits - 8) // 2 :]:
        if (rest % 100 > most).any():
            return False
        rest //= 100
    day, month, year = rest % 100, rest // 100 % 100, rest // 10_000
    return bool(
        ((day >= 1) & (day <= 31) & (month >= 1) & (month <= 12) & (year >= 1900) & (year <= 2100)).all()
    )
