"""Dynamic Uncertainty: deviation of the true label's probability within windows of epochs."""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor

from graphprune.errors import InputError
from graphprune.options import Whole
from graphprune.registry import register
from graphprune.scores.base import Signals, required
from graphprune.scores.windows import Window, WindowScore


@register("score", "dynamic_uncertainty", source="He et al., arXiv 2306.05175 (2023)", status="confirmed")
class DynamicUncertainty(WindowScore):
    r"""Dynamic Uncertainty: score samples by the deviation of the true label's probability within sliding windows.

    .. math:: U_i = \frac{1}{K - J} \sum_{k=0}^{K-J-1} \mathrm{std}(p_k(i), \dots, p_{k+J-1}(i))

    K is the number of the sample's visits after ``skip``. As in the authors' code, the last window starts at visit
    K-J-1; a window counts only when the next visit occurs.

    Args:
        window: J, visits per window (default: 10).
        ddof: Subtracted from J in the denominator of the variance (default: 1).
        skip: Number of first epochs that are skipped (default: 0).
        signal: ``p_true``, ``loss`` (the per-sample loss, for forecasts) or ``auto`` (default):
            ``p_true`` if there are classes, else ``loss``.

    Shapes:
        state ``[n, J]`` float32 -> values ``[n]`` float32; 0 for samples with at most J visits.

    Raises:
        InputError: fewer than ``skip + J + 1`` epochs; ``p_true`` without classes; arguments out of range.

    Cost: O(B J) time per batch, O(N J) memory.

    Reference: He et al., arXiv 2306.05175 (2023), recorded in an evaluation pass without augmentation. The
    authors multiply by 10, which does not change the order and is omitted. Using the loss is our own extension.

    >>> import numpy as np
    >>> from graphprune.scores.trajectories import scores_from_trajectories
    >>> p_true = np.array([[0.2, 0.9], [0.8, 0.9], [0.4, 0.9], [0.6, 0.9]])  # [epochs, samples]
    >>> scores_from_trajectories(DynamicUncertainty(window=3), p_true=p_true).round(3)
    array([0.306, 0.   ], dtype=float32)
    """

    needs = frozenset()  # p_true or loss, set in _allocate
    # The authors' loop stops one window early; that of the extrapolation paper does not.
    _counts_last_window: ClassVar[bool] = False

    def __init__(
        self,
        *,
        window: Window = 10,
        ddof: Whole = 1,
        skip: Whole = 0,
        signal: Literal["auto", "p_true", "loss"] = "auto",
    ) -> None:
        self.window, self.ddof, self.skip, self.signal = window, ddof, skip, signal

    def _allocate(self, epochs: int, num_classes: int | None) -> None:
        window, skip = self.window, self.skip
        if self.ddof >= window:
            raise InputError(
                f"{type(self).__name__}: ddof is {self.ddof} but window is {window}; ddof must be smaller"
            )
        closing = 0 if self._counts_last_window else 1
        most = epochs - skip - closing
        if window > most:
            raise InputError(
                f"{type(self).__name__}: {epochs} epochs, {skip} of them skipped, are too few for a window "
                f"of {window}; train at least {skip + window + closing} epochs"
                + (f" or set window to at most {most}" if most >= 2 else "")
            )
        if self.signal == "p_true" and num_classes is None:
            raise InputError(
                f"{type(self).__name__}: signal p_true needs classes; set signal to loss or auto"
            )
        self._reads = self.signal
        if self.signal == "auto":
            self._reads = "loss" if num_classes is None else "p_true"
        self.needs = frozenset({self._reads})
        self._allocate_ring(window)

    def update(self, rows: Tensor, signals: Signals, epoch: int) -> None:
        if epoch < self.skip:
            return
        values, slots = required(getattr(signals, self._reads)), self.visits[rows] % self.window
        if self._counts_last_window:
            self._push(rows, slots, values)
            self._add_window(rows)
        else:
            self._add_window(rows)
            self._push(rows, slots, values)

    def _add_window(self, rows: Tensor) -> None:
        ring, visits = self._window(rows)
        deviation = ring.std(dim=1, correction=self.ddof)
        self.total[rows] = self.total[rows] + torch.where(visits >= self.window, deviation, 0.0)

    def values(self) -> Tensor:
        windows = self.visits - self.window + int(self._counts_last_window)
        return self._finish(self.total / windows.clamp(min=1))
