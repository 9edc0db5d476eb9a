"""Kendall's tau-b, and its bootstrap without counting pairs again."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

# Up to here a resample's pairs are counted exactly, through the n x n matrix of signs (1 MiB).
_EXACT = 512


class Kendall:
    r"""Tau-b of two vectors ``[n]`` in any whole weighting of their entries.

    .. math:: \tau = \frac{S}{\sqrt{P_x P_y}}, \quad
        S = \sum_{i<j} w_i w_j \,\mathrm{sgn}(x_i - x_j)\,\mathrm{sgn}(y_i - y_j), \quad
        P_x = \tfrac12 \bigl(n^2 - \sum_{\text{ties}} c^2\bigr)

    Up to 512 samples S is exact. Above, its part that is quadratic in w - 1 is replaced by its mean
    -S/n: the part's variance is of the order 1/n of the linear one's (b/n where blocks of b rows are drawn, whose
    mean is off by as much). Equal weights are always exact.

    Cost: O(n log n) once, then O(n) per weighting (O(n^2) up to 512 samples).
    """

    def __init__(self, x: Array, y: Array) -> None:
        self._groups = [np.unique(values, return_inverse=True)[1] for values in (x, y)]
        self._signs: npt.NDArray[np.float32] | None = None
        if len(x) <= _EXACT:
            signs = [np.sign(values[:, None] - values) for values in (x, y)]
            self._signs = (signs[0] * signs[1]).astype(np.float32)
        else:
            self._excess = concordance(*self._groups)
            self._sum = self._excess.sum() / 2

    def tau(self, weights: Array) -> float:
        """Tau-b for weights ``[n]`` that sum to n; NaN when a vector is constant under them."""
        n = len(weights)
        pairs = [(n**2 - np.square(np.bincount(group, weights)).sum()) / 2 for group in self._groups]
        if min(pairs) <= 0:
            return math.nan
        if self._signs is not None:
            total = float((weights.astype(np.float32) @ self._signs) @ weights) / 2
        else:
            changed = weights @ self._excess - 2 * self._sum
            total = self._sum + changed - (self._sum / n if (weights != 1).any() else 0)
        return min(1.0, max(-1.0, total / math.sqrt(pairs[0] * pairs[1])))


def concordance(x: Integers, y: Integers) -> Array:
    """Concordant minus discordant partners of every sample ``[n]``, for ranks ``[n]`` int64 from 0.

    Cost: O(n log n): four rank queries per sample on a wavelet matrix.
    """
    n = len(x)
    order = np.argsort(x, kind="stable")
    x, y = x[order], y[order]
    start, end = np.searchsorted(x, x, "left"), np.searchsorted(x, x, "right")
    counts = _count_below(y, np.concatenate([start, end] * 2), np.concatenate([y, y, y + 1, y + 1]))
    lower, not_higher = counts.reshape(2, 2, n)
    in_order = np.sort(y)
    all_lower, all_not_higher = np.searchsorted(in_order, y, "left"), np.searchsorted(in_order, y, "right")
    before = lower[0] - (start - not_higher[0])
    after = (n - all_not_higher) - (end - not_higher[1]) - (all_lower - lower[1])
    excess = np.empty(n)
    excess[order] = before + after
    return excess


def _count_below(values: Integers, stops: Integers, bounds: Integers) -> Integers:
    """For each query, how many of ``values[:stop]`` are below ``bound``; all queries bit by bit at once."""
    low, high = np.zeros_like(stops), stops
    counts = np.zeros_like(stops)
    for bit in reversed(range(int(bounds.max()).bit_length())):
        ones = (values >> bit) & 1
        zeros_before = np.concatenate([[0], np.cumsum(1 - ones)])
        zeros_low, zeros_high = zeros_before[low], zeros_before[high]
        above = ((bounds >> bit) & 1).astype(bool)
        counts += np.where(above, zeros_high - zeros_low, 0)
        low = np.where(above, zeros_before[-1] + low - zeros_low, zeros_low)
        high = np.where(above, zeros_before[-1] + high - zeros_high, zeros_high)
        values = np.concatenate([values[ones == 0], values[ones == 1]])
    return counts
