"""Lack of confidence in the true label."""

from __future__ import annotations

from torch import Tensor

from graphprune.registry import register
from graphprune.scores.average import AverageScore
from graphprune.scores.base import Signals, required


@register(
    "score", "confidence", source="Swayamdipta et al., EMNLP 2020, arXiv 2009.10795", status="confirmed"
)
class Confidence(AverageScore):
    r"""One minus the true label's probability: what the model does not believe is kept.

    .. math:: S_i = 1 - p_K(i) \quad\text{or}\quad 1 - \frac1K \sum_k p_k(i)

    Args:
        reduce: ``last`` (default) or ``mean``.
        T: First epochs of the run that count, or ``all`` (default).

    Shapes, errors and cost as in `AverageScore`.

    Reference: Swayamdipta et al., EMNLP 2020, arXiv 2009.10795, whose confidence is the mean form and for
    whom high confidence means easy.
    """

    needs = frozenset({"p_true"})

    def _of_batch(self, signals: Signals) -> Tensor:
        return 1 - required(signals.p_true)
