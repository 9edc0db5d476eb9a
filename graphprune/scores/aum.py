"""AUM: area under the margin between the true label's logit and the best other one."""

from __future__ import annotations

import math

from torch import Tensor

from graphprune.registry import register
from graphprune.scores.average import AverageScore
from graphprune.scores.base import Signals, required
from graphprune.scores.windows import Epochs


@register("score", "aum", source="Pleiss et al., NeurIPS 2020, arXiv 2001.10528", status="confirmed")
class AUM(AverageScore):
    r"""Minus the mean margin of the true label: what is hard or mislabelled is kept.

    .. math:: S_i = -\frac1K \sum_k \bigl( z_{k,y} - \max_{c \ne y} z_{k,c} \bigr)

    Args:
        T: First epochs of the run that count (all when it has fewer), or ``all`` (default).

    Shapes:
        state ``[n]`` float32 -> values ``[n]`` float32; 0 for samples never visited.

    Raises:
        InputError: no classes; ``T`` is out of range.

    Cost: O(B C) time per batch, O(N) memory.

    Reference: Pleiss et al., NeurIPS 2020, arXiv 2001.10528, recorded online while training. They look for
    mislabelled samples, the lowest margins, which this score keeps first: pair it with a rule that drops
    the hardest. Log-probabilities differ as logits do, so logs of probabilities serve as well.
    """

    phase = "train"
    needs = frozenset({"log_probs", "targets"})

    def __init__(self, *, T: Epochs = "all") -> None:
        super().__init__(reduce="mean", T=T)

    def _of_batch(self, signals: Signals) -> Tensor:
        log_probs, labels = required(signals.log_probs), required(signals.targets)[:, None]
        others = log_probs.scatter(1, labels, -math.inf).amax(dim=1)
        return others - log_probs.gather(1, labels)[:, 0]
