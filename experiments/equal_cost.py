"""Arms against a simple baseline at equal cost: interpolated in cost, differences paired by random state."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

BASELINES = ("full_short", "rs2")
# Two runs of one length differ this much in cost; below it nothing stands to compare with.
SLACK = 0.9


@dataclass(frozen=True)
class Run:
    """One training: of which arm and random state, what it cost in all, and what it reached."""

    arm: str
    state: int
    cost: float
    value: float


def family(arm: str) -> str:
    """The name without its setting, which stands behind an ``@``."""
    return arm.partition("@")[0]


def differences(runs: Sequence[Run], arm: str, baseline: str) -> list[float]:
    """The arm's value minus the baseline's at the arm's cost, one for each state that has both.

    The baseline's value is interpolated linearly in cost between its shares and the full run of the same state; what
    costs more than a full run is held against the full run.

    >>> runs = [("full_short@0.5", 5, 0.7), ("full", 10, 0.8), ("es@0.5", 6, 0.75), ("jest@0.5", 11, 0.75)]
    >>> runs = [Run(arm, 0, cost, value) for arm, cost, value in runs]
    >>> [round(differences(runs, arm, "full_short")[0], 6) for arm in ("es@0.5", "jest@0.5")]
    [0.03, -0.05]
    """
    found: list[float] = []
    if arm == "full" or family(arm) == baseline:
        return found
    for run in (each for each in runs if each.arm == arm):
        curve = sorted(
            (each.cost, each.value)
            for each in runs
            if each.state == run.state and family(each.arm) in (baseline, "full")
        )
        if len(curve) > 1 and run.cost >= SLACK * curve[0][0]:
            found.append(run.value - float(np.interp(run.cost, *zip(*curve, strict=True))))
    return found


def verdict(advantages: Sequence[float]) -> str:
    """In words, where the mean advantage lies beyond twice its standard error.

    >>> verdict([0.01, 0.012, 0.011]), verdict([0.01, -0.012, 0.001]), verdict([-0.01, -0.012])
    ('beats', 'ties', 'loses')
    """
    if len(advantages) < 2:
        return ""
    mean, error = statistics.fmean(advantages), statistics.stdev(advantages) / math.sqrt(len(advantages))
    if abs(mean) <= 2 * error:
        return "ties"
    return "beats" if mean > 0 else "loses"


def by_arm(runs: Sequence[Run], *, larger: bool = True) -> dict[str, list[Run]]:
    """The runs of each arm, best mean value first (``larger``: the larger the better)."""
    arms: dict[str, list[Run]] = {}
    for run in runs:
        arms.setdefault(run.arm, []).append(run)
    sign = -1 if larger else 1
    return dict(sorted(arms.items(), key=lambda item: sign * statistics.fmean(run.value for run in item[1])))


def draw(panel: Any, runs: Sequence[Run]) -> None:
    """Mean value ± standard deviation against mean cost on matplotlib's axes; baselines as lines to the full run."""
    points: dict[str, list[tuple[float, float, float, str]]] = {}
    for arm, own in by_arm(runs).items():
        values = [run.value for run in own]
        error = statistics.stdev(values) if len(values) > 1 else 0.0
        point = statistics.fmean(run.cost for run in own), statistics.fmean(values), error, arm
        for name in BASELINES if arm == "full" else (family(arm),):
            points.setdefault(name, []).append(point)
    for number, (name, found) in enumerate(sorted(points.items())):
        x, y, errors, arms = zip(*sorted(found), strict=True)
        style = "o-" if name in BASELINES else "s^"[number // 10]
        panel.errorbar(
            x, y, errors, fmt=style, color=f"C{number}", alpha=0.8, markersize=4, capsize=2, label=name
        )
        for arm, *where in zip(arms, x, y, strict=True):
            setting = arm.partition("@")[2] or arm
            panel.annotate(setting, where, (4, 3), textcoords="offset points", fontsize=6, color=f"C{number}")
    panel.legend(fontsize=7)
