"""The table of forecast errors by horizon step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from graphprune.report.format import percent, spread, value

MEASURES = ("mae", "rmse", "mape")


@dataclass(frozen=True)
class ErrorTable:
    """Forecast errors of all arms that have them.

    Attributes:
        steps: Column groups: ``all horizons``, ``step 3`` and so on.
        rows: Arm name, and for each step and measure the mean and its standard deviation as text.
    """

    steps: tuple[str, ...]
    rows: tuple[tuple[str, tuple[tuple[str, str], ...]], ...]


def error_table(metrics: dict[str, Any]) -> ErrorTable | None:
    """The table of a `metrics.json`, or None without forecasts; MAPE in percent, the others in original units."""
    training = {name: arm for name, arm in (metrics.get("training") or {}).items() if arm.get("errors")}
    if not training:
        return None
    # JSON keys are sorted as strings: 12 before 3, and "all" last.
    steps = sorted(next(iter(training.values()))["errors"], key=lambda s: 0 if s == "all" else int(s))
    rows = tuple(
        (name, tuple(_cell(arm["errors"].get(step, {}).get(m), m) for step in steps for m in MEASURES))
        for name, arm in training.items()
    )
    return ErrorTable(tuple("all horizons" if s == "all" else f"step {s}" for s in steps), rows)


def _cell(errors: dict[str, Any] | None, measure: str) -> tuple[str, str]:
    mean, std = (errors or {}).get("mean"), (errors or {}).get("std")
    if measure == "mape":
        return percent(mean), "" if std is None else percent(std).removesuffix(" %")
    return value("mae", mean), "" if std is None else spread("mae", mean, std)
