"""Exact bootstrap of rank correlations without repeated sorting: a resample is a weight per sample."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import torch

from graphprune.runtime.rng import generator

Array = npt.NDArray[np.float64]
# A bootstrap of fewer blocks is meaningless.
_LEAST_BLOCKS = 5


class Ranking:
    """Ranking: mid-ranks of a vector ``[n]`` for any weights of its entries, sorted only once.

    If a resample contains entry i ``w_i`` times, tied entries (including copies) get the mean of the ranks they
    occupy, which follows from cumulative sums of w over the sorted entries.

    Cost: O(n log n) once, then O(n) for each vector of weights.

    >>> Ranking(np.array([3.0, 1.0, 1.0])).centered_ranks(np.ones(3)).tolist()
    [1.0, -0.5, -0.5]
    """

    def __init__(self, values: Array) -> None:
        order = np.argsort(values, kind="stable")
        ordered = values[order]
        starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
        self._order = None if (np.diff(order) == 1).all() else order
        self._starts = None if len(starts) == len(values) else starts
        self._group = np.repeat(np.arange(len(starts)), np.diff(np.append(starts, len(values))))

    def centered_ranks(self, weights: Array) -> Array:
        """Mid-ranks ``[n]`` minus their weighted mean, for weights ``[n]``; exact for integer weights."""
        sums = weights if self._order is None else weights[self._order]
        if self._starts is not None:
            sums = np.add.reduceat(sums, self._starts)
        ends = np.cumsum(sums)
        ranks: Array = ends - sums / 2 - ends[-1] / 2
        if self._starts is not None:
            ranks = ranks[self._group]
        if self._order is None:
            return ranks
        placed = np.empty_like(ranks)
        placed[self._order] = ranks
        return placed


def pearson(a: Array, b: Array, weights: Array) -> float:
    """Weighted Pearson correlation of two vectors ``[n]``; NaN if one of them is constant."""
    total = weights.sum()
    a = a - weights @ a / total
    b = b - weights @ b / total
    weighted = weights * a
    variance = float(weighted @ a) * float((weights * b) @ b)
    if not variance > 0:
        return math.nan
    return min(1.0, max(-1.0, float(weighted @ b) / math.sqrt(variance)))


def resamples(n: int, count: int, seed: int, block: int = 1) -> Iterator[Array]:
    """Draws ``count`` bootstrap resamples of n samples, each as the multiplicity of every sample ``[n]`` float64.

    With ``block`` > 1 it is the circular block bootstrap of Politis & Romano (1992), for rows that resemble their
    neighbors: blocks continue at row 0 after the last row, and the last block of a resample is cut.
    """
    random = generator(seed, "bootstrap")
    within = torch.arange(block)
    for _ in range(count):
        drawn = torch.randint(n, (-(-n // block), 1), generator=random)
        rows = ((drawn + within) % n).flatten()[:n].numpy()
        yield np.bincount(rows, minlength=n).astype(np.float64)


def enough_blocks(n: int, block: int) -> bool:
    """Whether n rows contain enough blocks to resample; single rows always suffice.

    >>> enough_blocks(100, 20), enough_blocks(100, 21), enough_blocks(3, 1)
    (True, False, True)
    """
    return block == 1 or n >= _LEAST_BLOCKS * block


def percentiles(values: Array) -> list[float] | None:
    """The 95 % percentile interval of the values that are not NaN; None if there are none."""
    defined = values[~np.isnan(values)]
    return np.quantile(defined, [0.025, 0.975]).tolist() if len(defined) else None
