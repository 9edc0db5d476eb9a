"""Shared parts of the readers of sensor files: numbers, names, and clocks of files without dates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from graphprune.errors import InputError

Array = npt.NDArray[Any]
Times = npt.NDArray[np.datetime64]

DAY_SECONDS = 86_400
# A Monday at midnight, so series without dates still have days and weeks.
_UNKNOWN_START = np.datetime64("2001-01-01T00:00:00", "s")
# Channels that other libraries store; graphprune derives them from the clock.
CALENDAR = ("time of day", "day of week", "day of month", "day of year", "time in day", "day in week")


def clock(steps: int, steps_per_day: int, *, time_of_day: float = 0.0, weekday: int = 0) -> Times:
    """Equidistant times ``[steps]`` ``datetime64[s]`` for files without dates, by default from a Monday on.

    >>> clock(2, 24)
    array(['2001-01-01T00:00:00', '2001-01-01T01:00:00'],
          dtype='datetime64[s]')
    """
    start = weekday * DAY_SECONDS + round(time_of_day * DAY_SECONDS)
    offsets = np.round(np.arange(steps) * (DAY_SECONDS / steps_per_day)).astype(np.int64)
    return _UNKNOWN_START + (start + offsets).astype("timedelta64[s]")


def clock_or_refuse(path: Path, steps: int, steps_per_day: int | None) -> Times:
    """The clock of a file without time stamps; raises an `InputError` if ``steps_per_day`` is not given."""
    if steps_per_day is None:
        raise InputError(f"{path} has no time stamps; add them or set steps_per_day (288 for 5 minutes)")
    return clock(steps, whole_steps(steps_per_day, path))


def whole_steps(steps_per_day: float, path: Path) -> int:
    """Return ``steps_per_day``; raise an `InputError` if a step is not a whole number of seconds."""
    if not 1 <= steps_per_day <= DAY_SECONDS or DAY_SECONDS % steps_per_day:
        raise InputError(
            f"{path}: steps_per_day is {steps_per_day:g}; a step must be a whole number of seconds "
            f"(steps_per_day must divide {DAY_SECONDS:,})"
        )
    return int(steps_per_day)


def numbers(array: Array, what: str, path: Path) -> npt.NDArray[np.float32]:
    """Convert an array of numbers to float32; values beyond float32 become infinite, which is refused later."""
    if array.dtype.kind not in "fiub":
        raise InputError(f"{path}: '{what}' is {array.dtype} instead of numbers; save it as float32")
    with np.errstate(over="ignore"):
        return array.astype(np.float32, copy=False)


def link_matrix(array: Array, what: str, path: Path) -> npt.NDArray[np.float32]:
    """Convert links to float32; finite values beyond float32 are refused, because infinity has a meaning."""
    matrix = numbers(array, what, path)
    if (np.isinf(matrix) & np.isfinite(array)).any():
        raise InputError(f"{path}: '{what}' contains values beyond float32; rescale them")
    return matrix


def names(values: Array | Sequence[Any] | None, prefix: str, count: int, path: Path) -> tuple[str, ...]:
    """Convert names to strings, integral numbers without decimals; the default is ``prefix_0`` and so on.

    Raises:
        InputError: it is not a list of strings or numbers, or bytes are not UTF-8.
    """
    if values is None:
        return tuple(f"{prefix}_{i}" for i in range(count))
    array = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "USiuf":
        found = f"{array.dtype} {list(array.shape)}"
        raise InputError(f"{path}: the {prefix} names are {found}; give a list of strings or numbers")
    try:
        return tuple(plain(v.decode() if isinstance(v, bytes) else v) for v in array.tolist())
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: the {prefix} names are not UTF-8 ({error}); save them as strings"
        ) from error


def plain(name: object) -> str:
    """Normalize a name: on one line, without surrounding spaces, and without ``.0`` after an integral number.

    >>> plain(773869.0), plain(" 773869.0 "), plain("007")
    ('773869', '773869', '007')
    """
    text = " ".join(str(name).split())
    stem, dot, decimals = text.partition(".")
    return stem if dot and stem.isdigit() and not decimals.strip("0") else text


def count(n: int, what: str) -> str:
    """A number of things in words.

    >>> count(1, "link"), count(2000, "station")
    ('1 link', '2,000 stations')
    """
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def with_channels(values: Array) -> Array:
    """``[T, N]`` as ``[T, N, 1]``, a view; other shapes unchanged."""
    return values[:, :, None] if values.ndim == 2 else values


def without_calendar(values: Array, channels: tuple[str, ...]) -> tuple[Array, tuple[str, ...]]:
    """Drop trailing channels that contain only the time; returns a view."""
    count = len(channels)
    while count > 1 and channels[count - 1].lower() in CALENDAR:
        count -= 1
    return values[:, :, :count], channels[:count]
