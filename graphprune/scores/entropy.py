"""Entropy: entropy of the predicted distribution."""

from __future__ import annotations

from torch import Tensor

from graphprune.registry import register
from graphprune.scores.average import AverageScore
from graphprune.scores.base import Signals, required


@register("score", "entropy", source="Coleman et al., ICLR 2020, arXiv 1906.11829", status="confirmed")
class Entropy(AverageScore):
    r"""Entropy: score samples by the entropy of the predicted distribution in nats, without labels.

    .. math:: S_i = -\sum_c P_{k,c} \log P_{k,c} \quad\text{at the last visit, or its mean over visits}

    Args:
        reduce: ``last`` (default) or ``mean``.
        T: Number of first epochs that count, or ``all`` (default).

    For shapes, errors and cost, see `AverageScore`; it takes O(B C) time per batch.

    Reference: Coleman et al., ICLR 2020, arXiv 1906.11829.

    >>> import numpy as np
    >>> from graphprune.scores.trajectories import scores_from_trajectories
    >>> p = np.array([[0.2, 0.9], [0.8, 0.9], [0.4, 0.9], [0.6, 0.9]])  # of class 0, [epochs, samples]
    >>> probs = np.stack([p, 1 - p], axis=2)
    >>> scores_from_trajectories(Entropy(), labels=[0, 0], probs=probs).round(3)
    array([0.673, 0.325], dtype=float32)
    """

    needs = frozenset({"log_probs"})

    def _of_batch(self, signals: Signals) -> Tensor:
        return entropy_of(required(signals.log_probs))


def entropy_of(log_probs: Tensor) -> Tensor:
    """Computes the entropy ``[B]`` in nats of ``log_probs [B, C]``; a class with probability 0 adds nothing."""
    probs = log_probs.exp()
    return -(probs * log_probs).masked_fill(probs == 0, 0).sum(dim=1)
