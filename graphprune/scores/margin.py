"""Margin between the two likeliest classes."""

from __future__ import annotations

from torch import Tensor

from graphprune.registry import register
from graphprune.scores.average import AverageScore
from graphprune.scores.base import Signals, required


@register("score", "margin", source="Coleman et al., ICLR 2020, arXiv 1906.11829", status="confirmed")
class Margin(AverageScore):
    r"""One minus the gap between the two largest probabilities: undecided samples are kept; needs no labels.

    .. math:: S_i = 1 - (P_{(1)} - P_{(2)}) \quad\text{at the last visit, or its mean over visits}

    The margin of the true label's logit is `AUM`.

    Args:
        reduce: ``last`` (default) or ``mean``.
        T: First epochs of the run that count, or ``all`` (default).

    Shapes, errors and cost as in `AverageScore`, with O(B C) time per batch.

    Reference: Coleman et al., ICLR 2020, arXiv 1906.11829.
    """

    needs = frozenset({"log_probs"})

    def _of_batch(self, signals: Signals) -> Tensor:
        best = required(signals.log_probs).topk(2, dim=1).values.exp()
        return 1 - (best[:, 0] - best[:, 1])
