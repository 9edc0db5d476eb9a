"""EL2N: how far the prediction is from the one-hot label."""

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
    r"""Error norm, averaged over the early epochs.

    .. math:: S_i = \frac1K \sum_k \lVert \mathrm{softmax}(z_k(i)) - \mathrm{onehot}(y_i) \rVert_2

    Args:
        reduce: ``mean`` over visits (default) or ``last``.
        T: First epochs of the run that count (all when it has fewer), or ``all`` (default: 10).

    Shapes, errors and cost as in `AverageScore`, with O(B C) time per batch.

    Reference: Paul et al., NeurIPS 2021, arXiv 2107.07075. They average ten networks at one early epoch;
    here one network's first epochs are averaged.
    """

    needs = frozenset({"log_probs", "targets"})

    def __init__(self, *, reduce: Literal["last", "mean"] = "mean", T: Epochs = 10) -> None:
        super().__init__(reduce=reduce, T=T)

    def _of_batch(self, signals: Signals) -> Tensor:
        gradient = logit_gradient(required(signals.log_probs), required(signals.targets))
        norms: Tensor = torch.linalg.vector_norm(gradient, dim=1)
        return norms
