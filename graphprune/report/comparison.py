"""Two arms over the same random states: how much better, and how sure one can be."""

from __future__ import annotations

import math
from dataclasses import dataclass

from graphprune.report.arms import Arm
from graphprune.report.format import larger_is_better


@dataclass(frozen=True)
class Comparison:
    """By how much ``arm`` is better than ``other`` over ``n`` paired random states (negative: worse).

    ``mean``, ``low`` and ``high`` are in the metric's own units; the sign is turned for errors, so that
    above 0 always means that ``arm`` is better.
    """

    arm: Arm
    other: Arm
    n: int
    mean: float
    low: float
    high: float


def compare_arms(arm: Arm, other: Arm, *, level: float = 0.95) -> Comparison | None:
    r"""Paired t interval of the advantage of ``arm``, :math:`\bar d \pm t_{n-1,(1+level)/2}\, s_d / \sqrt n`.

    Values pair by position; states where either is missing are left out. None with fewer than two pairs
    or with different metrics.

    Accuracies come in steps of one test sample (``arm.step``), so the differences of a few states can be equal by
    chance and would leave an interval of width 0. :math:`s_d^2` is therefore at least :math:`step^2 / 6`, what
    rounding two values to steps adds. Simulated (400,000 times; two arms of the same true accuracy, differences with
    a standard deviation of 0.3 to 8 test samples): nominal 95 % intervals of two states excluded 0 in 4 to 13 %
    without this bound and in at most 4 % with it.

    Args:
        level: Probability that the interval holds the true mean advantage (default: 0.95).

    Raises:
        InputError: the metric is neither ``accuracy`` nor ``mae``.

    Cost: O(n).
    """
    from scipy.special import stdtrit

    sign = 1.0 if larger_is_better(arm.metric) else -1.0
    pairs = zip(arm.values, other.values, strict=False)
    ahead = [sign * (a - b) for a, b in pairs if a is not None and b is not None]
    n = len(ahead)
    if n < 2 or other.metric != arm.metric:
        return None
    mean = math.fsum(ahead) / n
    variance = max(math.fsum((one - mean) ** 2 for one in ahead) / (n - 1), arm.step**2 / 6)
    half = float(stdtrit(n - 1, 0.5 + level / 2)) * math.sqrt(variance / n)
    return Comparison(arm, other, n, mean, mean - half, mean + half)
