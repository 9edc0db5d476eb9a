"""The per-sample loss."""

from __future__ import annotations

from torch import Tensor

from graphprune.registry import register
from graphprune.scores.average import AverageScore
from graphprune.scores.base import Signals, required


@register("score", "loss", source="textbook", status="confirmed")
class Loss(AverageScore):
    r"""The sample's loss at its last visit, or its mean over visits: what is fitted badly is kept.

    .. math:: S_i = l_K(i) \quad\text{or}\quad \frac1K \sum_k l_k(i)

    Args:
        reduce: ``last`` (default) or ``mean``.
        T: First epochs of the run that count, or ``all`` (default).

    Shapes, errors and cost as in `AverageScore`.
    """

    needs = frozenset({"loss"})

    def _of_batch(self, signals: Signals) -> Tensor:
        return required(signals.loss)
