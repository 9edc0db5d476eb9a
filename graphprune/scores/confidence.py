"""Confidence: lack of confidence in the true label."""

from __future__ import annotations

from torch import Tensor

from graphprune.registry import register
from graphprune.scores.average import AverageScore
from graphprune.scores.base import Signals, required


@register(
    "score", "confidence", source="Swayamdipta et al., EMNLP 2020, arXiv 2009.10795", status="confirmed"
)
class Confidence(AverageScore):
    r"""Confidence: score samples by one minus the probability of the true label.

    .. math:: S_i = 1 - p_K(i) \quad\text{or}\quad 1 - \frac1K \sum_k p_k(i)

    Args:
        reduce: ``last`` (default) or ``mean``.
        T: Number of first epochs that count, or ``all`` (default).

    For shapes, errors and cost, see `AverageScore`.

    Reference: Swayamdipta et al., EMNLP 2020, arXiv 2009.10795, who use the mean; there, high confidence means
    easy.

    >>> import numpy as np
    >>> from graphprune.scores.trajectories import scores_from_trajectories
    >>> p_true = np.array([[0.2, 0.9], [0.8, 0.9], [0.4, 0.9], [0.6, 0.9]])  # [epochs, samples]
    >>> scores_from_trajectories(Confidence(), p_true=p_true).round(3)
    array([0.4, 0.1], dtype=float32)
    """

    needs = frozenset({"p_true"})

    def _of_batch(self, signals: Signals) -> Tensor:
        return 1 - required(signals.p_true)
