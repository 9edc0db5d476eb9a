"""Numbers as text: with units, significant digits and a typographic minus sign."""

from __future__ import annotations

import math
from typing import Any

from graphprune.errors import InputError

ABSENT = "–"
LARGER_IS_BETTER = {"accuracy": True, "mae": False}


def is_number(value: Any) -> bool:
    """Whether a value is a finite int or float (a bool does not count)."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def larger_is_better(metric: str) -> bool:
    """Whether a larger value of a training metric is better.

    Raises:
        InputError: the metric is neither ``accuracy`` nor ``mae``.
    """
    if metric not in LARGER_IS_BETTER:
        raise InputError(f"training metric is '{metric}'; metrics.json must contain 'accuracy' or 'mae'")
    return LARGER_IS_BETTER[metric]


def value(metric: str, number: Any, *, unit: bool = True) -> str:
    """A training metric: accuracy in percent, errors in the unit of the data.

    >>> value("accuracy", 0.95123), value("mae", 29.3449), value("mae", None)
    ('95.12 %', '29.34', '–')
    """
    if not is_number(number):
        return ABSENT
    if metric == "accuracy":
        return _minus(f"{100 * number:.2f}" + (" %" if unit else ""))
    return significant(number, 4)


def spread(metric: str, mean: Any, std: Any) -> str:
    """A standard deviation, with as many decimals as `value` shows for its mean.

    >>> spread("mae", 29.3449, 0.15277), spread("accuracy", 0.95, 0.003), spread("mae", 29.3, None)
    ('0.15', '0.30', '–')
    """
    if not is_number(std):
        return ABSENT
    if metric == "accuracy":
        return f"{100 * std:.2f}"
    digits = 3 - math.floor(math.log10(abs(mean))) if is_number(mean) and mean else 3
    return f"{std:,.{max(0, digits)}f}"


def difference(metric: str, number: Any, *, unit: bool = True) -> str:
    """A signed difference of two metrics, in percentage points for accuracies.

    >>> difference("accuracy", -0.0042), difference("mae", 0.15)
    ('−0.42 points', '+0.150')
    """
    if not is_number(number):
        return ABSENT
    if metric == "accuracy":
        return _minus(f"{100 * number:+.2f}" + (" points" if unit else ""))
    return _minus(("+" if number >= 0 else "-") + significant(abs(number), 3))


def significant(number: Any, digits: int = 3) -> str:
    """A plain number with about ``digits`` significant digits and thousands separators.

    >>> significant(0.012345), significant(1234567), significant(-29.3449, 4)
    ('0.0123', '1,234,567', '−29.34')
    """
    if not is_number(number):
        return ABSENT
    if number == 0:
        return "0"
    magnitude = math.floor(math.log10(abs(number)))
    if magnitude < -5:
        return _minus(f"{number:.{digits - 1}e}")
    return _minus(f"{number:,.{max(0, digits - 1 - magnitude)}f}")


def fixed(number: Any, digits: int = 2) -> str:
    """A number with a fixed number of decimals.

    >>> fixed(0.5), fixed(None)
    ('0.50', '–')
    """
    return _minus(f"{number:,.{digits}f}") if is_number(number) else ABSENT


def count(number: Any) -> str:
    """A whole number with thousands separators; large numbers are shown in millions.

    >>> count(1797), count(53_910_000)
    ('1,797', '53.9 M')
    """
    if not is_number(number):
        return ABSENT
    return f"{number:,.0f}" if abs(number) < 1e7 else f"{number / 1e6:,.1f} M"


def percent(fraction: Any) -> str:
    """A fraction as a percentage.

    >>> percent(0.5), percent(0.333), percent(-0.201)
    ('50 %', '33.3 %', '−20.1 %')
    """
    if not is_number(fraction):
        return ABSENT
    return _minus(f"{100 * fraction:.1f}".removesuffix(".0") + " %")


def seconds(number: Any) -> str:
    """A duration with its unit.

    >>> seconds(0.0312), seconds(9.26), seconds(83), seconds(7384)
    ('31 ms', '9.3 s', '1 min 23 s', '2 h 3 min')
    """
    if not is_number(number):
        return ABSENT
    if number < 1:
        return f"{1000 * number:.0f} ms"
    if number < 59.95:
        return f"{number:.1f} s"
    if number < 3600:
        whole = round(number)
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(number / 60)
    return f"{minutes // 60} h {minutes % 60} min"


def trainings(number: Any) -> str:
    """A number of trainings until a cost is recovered.

    >>> trainings(0.464), trainings(float("inf"))
    ('0.5 trainings', 'never')
    """
    return "never" if number == math.inf else f"{number:.1f} trainings" if is_number(number) else ABSENT


def mebibytes(number: Any) -> str:
    """An amount of memory with its unit.

    >>> mebibytes(412.3), mebibytes(3481.6)
    ('412 MiB', '3.4 GiB')
    """
    if not is_number(number):
        return ABSENT
    return f"{number:.0f} MiB" if number < 1024 else f"{number / 1024:.1f} GiB"


def _minus(text: str) -> str:
    return text.replace("-", "−")
