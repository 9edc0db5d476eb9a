"""Loss: the per-sample loss."""

from __future__ import annotations

from torch import Tensor

from graphprune.registry import register
from graphprune.scores.average import AverageScore
from graphprune.scores.base import Signals, required


@register("score", "loss", source="textbook", status="confirmed")
class Loss(AverageScore):
    r"""Loss: score samples by their loss at the last visit, or by its mean over visits.

    .. math:: S_i = l_K(i) \quad\text{or}\quad \frac1K \sum_k l_k(i)

    Args:
        reduce: ``last`` (default) or ``mean``.
        T: Number of first epochs that count, or ``all`` (default).

    For shapes, errors and cost, see `AverageScore`.

    >>> import numpy as np
    >>> from graphprune.scores.trajectories import scores_from_trajectories
    >>> p_true = np.array([[0.2, 0.9], [0.8, 0.9], [0.4, 0.9], [0.6, 0.9]])  # [epochs, samples]
    >>> scores_from_trajectories(Loss(), p_true=p_true).round(3)
    array([0.511, 0.105], dtype=float32)
    """

    needs = frozenset({"loss"})

    def _of_batch(self, signals: Signals) -> Tensor:
        return required(signals.loss)
