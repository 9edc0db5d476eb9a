"""What the readers of sensor files share: numbers, names, clocks, and memory maps."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from graphprune.data.formats.large import room, row_blocks
from graphprune.errors import InputError

Array = npt.NDArray[Any]
Times = npt.NDArray[np.datetime64]

_DAY_SECONDS = 86_400
# A Monday at midnight: series that tell no date still have their day and week.
_UNKNOWN_START = np.datetime64("2001-01-01T00:00:00", "s")
# More than this share of missing time stamps is rather a wrong file.
_MOST_MISSING = 0.5
# Channels that other libraries store and graphprune derives from the clock.
CALENDAR = ("time of day", "day of week", "day of month", "day of year", "time in day", "day in week")


def clock(steps: int, steps_per_day: int, *, time_of_day: float = 0.0, weekday: int = 0) -> Times:
    """``[steps]`` equidistant ``datetime64[s]`` for files that tell no date; by default from a Monday on."""
    start = weekday * _DAY_SECONDS + round(time_of_day * _DAY_SECONDS)
    offsets = np.round(np.arange(steps) * (_DAY_SECONDS / steps_per_day)).astype(np.int64)
    return _UNKNOWN_START + (start + offsets).astype("timedelta64[s]")


def clock_or_refuse(path: Path, steps: int, steps_per_day: int | None) -> Times:
    """The clock of a file without time stamps, or an `InputError` that asks for the steps per day."""
    if steps_per_day is None:
        raise InputError(f"{path} has no time stamps; add them or set steps_per_day (288 for 5 minutes)")
    if steps_per_day < 1:
        raise InputError(f"steps_per_day is {steps_per_day}; it must be at least 1")
    return clock(steps, steps_per_day)


def times(array: Array, path: Path) -> Times:
    """``datetime64[s]`` from dates, ISO texts, or numbers since 1970 (s, ms, us, ns, told by their size)."""
    try:
        if array.dtype.kind in "iuf":
            largest = float(np.abs(array).max(initial=0))
            unit = next(
                u for u, limit in (("s", 1e11), ("ms", 1e14), ("us", 1e17), ("ns", np.inf)) if largest < limit
            )
            return array.astype(np.int64).astype(f"datetime64[{unit}]").astype("datetime64[s]")
        texts = np.char.decode(array) if array.dtype.kind == "S" else array
        return texts.astype("datetime64[s]")
    except (ValueError, TypeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: time stamps cannot be read ({error}); write them as 2024-01-31 23:55"
        ) from error


def numbers(array: Array, what: str, path: Path) -> npt.NDArray[np.float32]:
    """``array`` as float32, or an `InputError`."""
    if array.dtype.kind not in "fiub":
        raise InputError(f"{path}: '{what}' holds {array.dtype} instead of numbers; save it as float32")
    return array.astype(np.float32, copy=False)


def names(values: Iterable[Any] | None, prefix: str, count: int) -> tuple[str, ...]:
    """Names as texts, or ``prefix_0`` and so on."""
    if values is None:
        return tuple(f"{prefix}_{i}" for i in range(count))
    return tuple(str(v.decode() if isinstance(v, bytes) else v) for v in values)


def with_channels(values: Array) -> Array:
    """``[T, N]`` as ``[T, N, 1]``, a view; other shapes unchanged."""
    return values[:, :, None] if values.ndim == 2 else values


def without_calendar(values: Array, channels: tuple[str, ...]) -> tuple[Array, tuple[str, ...]]:
    """Drops trailing channels that only tell the time; a view."""
    count = len(channels)
    while count > 1 and channels[count - 1].lower() in CALENDAR:
        count -= 1
    return values[:, :, :count], channels[:count]


def fill_clock(values: Array, stamps: Times, path: Path) -> tuple[Array, Times, tuple[str, ...]]:
    """Inserts rows of NaN for missing time stamps and tells how many, as a fault; complete series stay views.

    Raises:
        InputError: the stamps do not ascend, lie between the steps of a clock, or most of them are missing.
    """
    if len(stamps) < 2 or len(stamps) != len(values):
        return values, stamps, ()
    gaps = np.diff(stamps).astype(np.int64)
    if (gaps <= 0).any():
        at = stamps[1 + int(np.argmax(gaps <= 0))]
        raise InputError(f"{path}: time stamps do not ascend at {at}; sort the rows and drop repeated ones")
    step = int(np.median(gaps))
    if (gaps == step).all():
        return values, stamps, ()
    total = int(gaps.sum()) // step + 1
    if (gaps % step).any() or total * (1 - _MOST_MISSING) > len(stamps):
        at = stamps[1 + int(np.argmax(gaps % step > 0 if (gaps % step).any() else gaps))]
        raise InputError(f"{path}: the clock jumps at {at}; write rows at equal distances, NaN where missing")
    rows = np.concatenate([[0], np.cumsum(gaps // step)])
    filled = room((total, *values.shape[1:]), near=path)
    filled[:] = np.nan
    for block in row_blocks(values):
        filled[rows[block]] = values[block]
    missing = total - len(stamps)
    fault = f"{missing:,} of {total:,} time stamps are missing (rows of NaN were inserted)"
    return filled, stamps[0] + np.arange(total) * np.timedelta64(step, "s"), (fault,)
