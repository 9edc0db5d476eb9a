"""Beta sampling: the selection rule of DUAL."""

from __future__ import annotations

import torch
from torch import Tensor

from graphprune.errors import InputError
from graphprune.options import Positive
from graphprune.registry import register
from graphprune.runtime.math import highest
from graphprune.select.base import Candidates, SelectionRule

_ANCHORS = 10
# Mean predictions of exactly 0 or 1 have an infinite log-density.
_INSIDE = 1e-7


@register("selection", "beta", source="Cho et al., ICML 2025, arXiv 2502.06905", status="confirmed")
class Beta(SelectionRule):
    r"""Beta: draw samples by score and by a Beta density of their mean prediction (DUAL).

    The smaller the keep fraction, the easier the samples that are drawn. Samples are drawn without replacement,
    each with probability proportional to :math:`s_i \, f(\bar p_i)`, where :math:`s_i` is the score,
    :math:`\bar p_i` the mean probability of the true label, and f the density of the Beta distribution with

    .. math:: b = 15 \, (1 - \bar p_{top}) \, (1 - (1 - keep)^c), \quad a = 16 - b

    :math:`\bar p_{top}` is the mean of :math:`\bar p` over the 10 samples with the largest scores.

    Use the score ``dual`` as scores. Use ``1 - p`` averaged over the same epochs as second scores: the score
    ``confidence`` with ``reduce: mean`` and ``T: 30``.

    Args:
        c: Exponent of the pruned fraction, above 0 (default: 4, as in the authors' code, which
            sets it per data set).

    Negative scores are first shifted to a minimum of 0. Samples with score 0 are drawn last. Second scores
    outside [0, 1], which an extrapolator may predict, are clipped to [0, 1].

    Raises:
        InputError: no second scores, or their median is outside [0, 1]; ``c`` out of range.

    Cost: O(N log N).

    Reference: Cho et al., ICML 2025, arXiv 2502.06905.

    >>> from graphprune.select import Beta
    >>> from graphprune.table import ScoreTable
    >>> scores = ScoreTable([0, 1, 2, 3], [0.0, 0.0, 0.5, 0.4], True)
    >>> one_minus_p = ScoreTable([0, 1, 2, 3], [0.1, 0.9, 0.4, 0.3], True)
    >>> Beta().select(scores, 0.5, second_scores=one_minus_p).ids.tolist()
    [2, 3]
    """

    requires = ("second_scores",)
    reads_second = True

    def __init__(self, *, c: Positive = 4.0) -> None:
        self.c = c

    def _select(self, candidates: Candidates, count: int) -> tuple[Tensor, Tensor]:
        assert candidates.second_scores is not None
        doubt = candidates.second_scores.double()
        if not 0 <= float(doubt.median()) <= 1:
            raise InputError(
                f"second scores range from {float(doubt.min()):g} to {float(doubt.max()):g}; rule Beta needs "
                "1 - p of the true label, in [0, 1]; use the score confidence with reduce: mean"
            )
        scores = candidates.scores.double()
        scores = (scores - scores.min().clamp_max(0)).clamp_min(torch.finfo(torch.float64).tiny)
        keep = count / len(scores)
        b = 15 * float(doubt[highest(scores, _ANCHORS)].mean()) * (1 - (1 - keep) ** self.c)
        a = 16 - b
        doubt = doubt.clamp(_INSIDE, 1 - _INSIDE)
        log_weights = scores.log() + (a - 1) * (1 - doubt).log() + (b - 1) * doubt.log()
        # The largest log-weights plus Gumbel noise are a weighted draw without replacement (Efraimidis &
        # Spirakis, 2006).
        noise = torch.empty_like(log_weights).exponential_(generator=candidates.generator)
        return torch.topk(log_weights - noise.log(), count).indices, torch.ones(count)
