"""EL2N: distance of the prediction from the one-hot label."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from graphprune.registry import register
from graphprune.scores.average import AverageScore
from graphprune.scores.base import Signals, required
from graphprune.scores.windows import Epochs


def logit_gradient(log_probs: Tensor, targets: Tensor) -> Tensor:
    """Gradient of the cross-entropy by the logits, softmax - onehot ``[B, C]``, exact where p is near 1."""
    labels = targets[:, None]
    return log_probs.exp().scatter(1, labels, torch.expm1(log_probs.gather(1, labels)))


@register("score", "el2n", source="Paul et al., NeurIPS 2021, arXiv 2107.07075", status="confirmed")
class EL2N(AverageScore):
    r"""EL2N: score samples by the norm of the prediction error, averaged over the early epochs.

    .. math:: S_i = \frac1K \sum_k \lVert \mathrm{softmax}(z_k(i)) - \mathrm{onehot}(y_i) \rVert_2

    Args:
        reduce: ``mean`` over visits (default) or ``last``.
        T: Number of first epochs that count (all if the run has fewer), or ``all`` (default: 10).

    For shapes, errors and cost, see `AverageScore`; it takes O(B C) time per batch.

    Reference: Paul et al., NeurIPS 2021, arXiv 2107.07075. They average ten networks at one early epoch;
    this score averages the first epochs of one network.

    >>> import numpy as np
    >>> from graphprune.scores.trajectories import scores_from_trajectories
    >>> p = np.array([[0.2, 0.9], [0.8, 0.9], [0.4, 0.9], [0.6, 0.9]])  # of class 0, [epochs, samples]
    >>> probs = np.stack([p, 1 - p], axis=2)
    >>> scores_from_trajectories(EL2N(), labels=[0, 0], probs=probs).round(3)
    array([0.707, 0.141], dtype=float32)
    """

    needs = frozenset({"log_probs", "targets"})

    def __init__(self, *, reduce: Literal["last", "mean"] = "mean", T: Epochs = 10) -> None:
        super().__init__(reduce=reduce, T=T)

    def _of_batch(self, signals: Signals) -> Tensor:
        gradient = logit_gradient(required(signals.log_probs), required(signals.targets))
        norms: Tensor = torch.linalg.vector_norm(gradient, dim=1)
        return norms
