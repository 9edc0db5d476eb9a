"""DUAL: uncertainty of a window times its difficulty, from the early epochs only."""

from __future__ import annotations

import torch
from torch import Tensor

from graphprune.registry import register
from graphprune.scores.base import Signals, required
from graphprune.scores.windows import Epochs, Window, WindowScore, first_epochs


@register("score", "dual", source="Cho et al., ICML 2025, arXiv 2502.06905", status="confirmed")
class DUAL(WindowScore):
    r"""DUAL: score samples by the uncertainty of the true label's probability times its difficulty, over windows.

    .. math:: S_i = \frac{1}{T-J+1} \sum_{k=0}^{T-J} \mathrm{std}(p_k, \dots, p_{k+J-1}) \, (1 - \bar p_k)

    with J - 1 in the denominator of the variance. Unlike Dynamic Uncertainty, it also counts the last window, and it
    decreases again for samples that are only noisy later; a few early epochs are therefore sufficient.

    Args:
        T: Number of first epochs that count, or ``all`` (default: 30).
        window: J, visits per window (default: 10).

    Shapes:
        state ``[n, J]`` float32 -> values ``[n]`` float32; 0 for samples with fewer than J visits.

    Raises:
        InputError: no classes; fewer than ``T`` epochs; ``T < J``; arguments out of range.

    Cost: O(B J) time per batch, O(N J) memory.

    Reference: Cho et al., ICML 2025, arXiv 2502.06905. The authors multiply by 10, which does not change the
    order; their Beta sampling is a selection rule and not part of the score.

    >>> import numpy as np
    >>> from graphprune.scores.trajectories import scores_from_trajectories
    >>> p_true = np.array([[0.2, 0.9], [0.8, 0.9], [0.4, 0.9], [0.6, 0.9]])  # [epochs, samples]
    >>> scores_from_trajectories(DUAL(T=4, window=3), p_true=p_true).round(3)
    array([0.121, 0.   ], dtype=float32)
    """

    phase = "train"
    needs = frozenset({"p_true"})

    def __init__(self, *, T: Epochs = 30, window: Window = 10) -> None:
        self.T, self.window = T, window

    def _allocate(self, epochs: int, num_classes: int | None) -> None:
        self._last = first_epochs("DUAL", self.T, epochs, self.window)
        self._allocate_ring(self.window)

    def update(self, rows: Tensor, signals: Signals, epoch: int) -> None:
        if epoch >= self._last:
            return
        self._push(rows, self.visits[rows] % self.window, required(signals.p_true))
        ring, visits = self._window(rows)
        of_window = ring.std(dim=1) * (1 - ring.mean(dim=1))
        self.total[rows] = self.total[rows] + torch.where(visits >= self.window, of_window, 0.0)

    def values(self) -> Tensor:
        return self._finish(self.total / (self.visits - self.window + 1).clamp(min=1))
