"""Margin: gap between the two most probable classes."""

from __future__ import annotations

from torch import Tensor

from graphprune.registry import register
from graphprune.scores.average import AverageScore
from graphprune.scores.base import Signals, required


@register("score", "margin", source="Coleman et al., ICLR 2020, arXiv 1906.11829", status="confirmed")
class Margin(AverageScore):
    r"""Margin: score samples by one minus the gap between the two largest probabilities, without labels.

    .. math:: S_i = 1 - (P_{(1)} - P_{(2)}) \quad\text{at the last visit, or its mean over visits}

    For the margin of the true label's logit, see `AUM`.

    Args:
        reduce: ``last`` (default) or ``mean``.
        T: Number of first epochs that count, or ``all`` (default).

    For shapes, errors and cost, see `AverageScore`; it takes O(B C) time per batch.

    Reference: Coleman et al., ICLR 2020, arXiv 1906.11829.

    >>> import numpy as np
    >>> from graphprune.scores.trajectories import scores_from_trajectories
    >>> p = np.array([[0.2, 0.9], [0.8, 0.9], [0.4, 0.9], [0.6, 0.9]])  # of class 0, [epochs, samples]
    >>> probs = np.stack([p, 1 - p], axis=2)
    >>> scores_from_trajectories(Margin(), labels=[0, 0], probs=probs).round(3)
    array([0.8, 0.2], dtype=float32)
    """

    needs = frozenset({"log_probs"})

    def _of_batch(self, signals: Signals) -> Tensor:
        best = required(signals.log_probs).topk(2, dim=1).values.exp()
        return 1 - (best[:, 0] - best[:, 1])
