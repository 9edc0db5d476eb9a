"""Entropy of the prediction."""

from __future__ import annotations

from torch import Tensor

from graphprune.registry import register
from graphprune.scores.average import AverageScore
from graphprune.scores.base import Signals, required


@register("score", "entropy", source="Coleman et al., ICLR 2020, arXiv 1906.11829", status="confirmed")
class Entropy(AverageScore):
    r"""Entropy of the predicted distribution, in nats; needs no labels.

    .. math:: S_i = -\sum_c P_{k,c} \log P_{k,c} \quad\text{at the last visit, or its mean over visits}

    Args:
        reduce: ``last`` (default) or ``mean``.
        T: First epochs of the run that count, or ``all`` (default).

    Shapes, errors and cost as in `AverageScore`, with O(B C) time per batch.

    Reference: Coleman et al., ICLR 2020, arXiv 1906.11829.
    """

    needs = frozenset({"log_probs"})

    def _of_batch(self, signals: Signals) -> Tensor:
        return entropy_of(required(signals.log_probs))


def entropy_of(log_probs: Tensor) -> Tensor:
    """Entropy ``[B]`` in nats of ``log_probs [B, C]``; a class without probability adds nothing."""
    probs = log_probs.exp()
    return -(probs * log_probs).masked_fill(probs == 0, 0).sum(dim=1)
