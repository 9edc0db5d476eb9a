"""Paired comparison of two arms over the same random seeds."""

from __future__ import annotations

import math
from dataclasses import dataclass

from graphprune.report.arms import Arm
from graphprune.report.format import larger_is_better


@dataclass(frozen=True)
class Comparison:
    """Advantage of ``arm`` over ``other`` with its interval, over ``n`` paired random seeds.

    ``mean``, ``low`` and ``high`` have the unit of the metric. The sign is reversed for errors, so a value above 0
    always means that ``arm`` is better.
    """

    arm: Arm
    other: Arm
    n: int
    mean: float
    low: float
    high: float


def compare_arms(arm: Arm, other: Arm, *, level: float = 0.95) -> Comparison | None:
    r"""Paired t interval of the advantage of ``arm``, :math:`\bar d \pm t_{n-1,(1+level)/2}\, s_d / \sqrt n`.

    Values are paired by position; pairs with a missing value are left out. Returns None for fewer than two pairs or
    different metrics.

    Accuracies are multiples of one test sample (``arm.step``), so a few differences can be equal by chance, which would
    give an interval of width 0. :math:`s_d^2` is therefore at least :math:`step^2 / 6`, the variance that rounding two
    values to steps adds. In a simulation (400,000 repetitions; two arms with the same true accuracy, differences with
    a standard deviation of 0.3 to 8 test samples), nominal 95 % intervals of two seeds excluded 0 in 4 to 13 % of the
    cases without this bound and in at most 4 % with it.

    Args:
        level: Probability that the interval contains the true mean advantage (default: 0.95).

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
