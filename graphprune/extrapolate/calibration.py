"""Calibration of predictions: by predicted value, by coverage of their intervals, and by class."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# A normal variable is within this many standard deviations of its mean in 90 % of cases.
NORMAL_90 = 1.6448536269514722


def calibration(predicted: Array, truth: Array, *, bins: int = 10) -> list[dict[str, float]]:
    """Mean prediction, mean truth and count ``n`` in each of ``bins`` equal-count bins of the prediction.

    Ties are ordered by a stable sort. With fewer than ``bins`` samples, each sample is its own bin.

    Cost: O(n log n).

    >>> calibration(np.array([3.0, 1.0, 2.0, 4.0]), np.array([30.0, 10.0, 20.0, 40.0]), bins=2)
    [{'predicted': 1.5, 'truth': 15.0, 'n': 2}, {'predicted': 3.5, 'truth': 35.0, 'n': 2}]
    """
    parts = np.array_split(np.argsort(predicted, kind="stable"), bins)
    return [
        {"predicted": float(predicted[part].mean()), "truth": float(truth[part].mean()), "n": len(part)}
        for part in parts
        if len(part)
    ]


def coverage90(predicted: Array, truth: Array, std: Array) -> float:
    """Share of true values inside the normal 90 % interval, predicted ± 1.645 std.

    >>> coverage90(np.zeros(2), np.array([1.0, 2.0]), np.ones(2))
    0.5
    """
    return float((np.abs(truth - predicted) <= NORMAL_90 * std).mean())


def class_bias(errors: Array, labels: npt.ArrayLike) -> list[tuple[str, int, float]]:
    """Name, count and mean of ``errors [n]`` of each class, ascending by class.

    >>> class_bias(np.array([0.0, 1.0, 2.0]), np.array([0, 1, 1]))
    [('0', 1, 0.0), ('1', 2, 1.5)]
    """
    names, codes = np.unique(np.asarray(labels), return_inverse=True)
    counts = np.bincount(codes, minlength=len(names))
    means = np.bincount(codes, weights=errors, minlength=len(names)) / counts
    return [(str(n), int(c), float(m)) for n, c, m in zip(names.tolist(), counts, means, strict=True)]
