"""AUM: area under the margin between the logit of the true label and the largest other logit."""

from __future__ import annotations

import math

from torch import Tensor

from graphprune.registry import register
from graphprune.scores.average import AverageScore
from graphprune.scores.base import Signals, required
from graphprune.scores.windows import Epochs


@register("score", "aum", source="Pleiss et al., NeurIPS 2020, arXiv 2001.10528", status="confirmed")
class AUM(AverageScore):
    r"""AUM: score samples by minus the mean margin of the true label; hard and mislabeled samples score high.

    .. math:: S_i = -\frac1K \sum_k \bigl( z_{k,y} - \max_{c \ne y} z_{k,c} \bigr)

    Args:
        T: Number of first epochs that count (all if the run has fewer), or ``all`` (default).

    Shapes:
        state ``[n]`` float32 -> values ``[n]`` float32; 0 for samples never visited.

    Raises:
        InputError: no classes; ``T`` is out of range.

    Cost: O(B C) time per batch, O(N) memory.

    Reference: Pleiss et al., NeurIPS 2020, arXiv 2001.10528, recorded online during training. The authors search
    for mislabeled samples, which have the lowest margins and which this score would keep first; combine it with a
    rule that drops the hardest samples. Differences of log-probabilities equal those of logits, so logs of
    probabilities can be used too.

    >>> import numpy as np
    >>> from graphprune.scores.trajectories import scores_from_trajectories
    >>> p = np.array([[0.2, 0.9], [0.8, 0.9], [0.4, 0.9], [0.7, 0.9]])  # of class 0, [epochs, samples]
    >>> probs = np.stack([p, 1 - p], axis=2)
    >>> scores_from_trajectories(AUM(), labels=[0, 0], probs=probs).round(3)
    array([-0.11 , -2.197], dtype=float32)
    """

    phase = "train"
    needs = frozenset({"log_probs", "targets"})

    def __init__(self, *, T: Epochs = "all") -> None:
        super().__init__(reduce="mean", T=T)

    def _of_batch(self, signals: Signals) -> Tensor:
        log_probs, labels = required(signals.log_probs), required(signals.targets)[:, None]
        others = log_probs.scatter(1, labels, -math.inf).amax(dim=1)
        return others - log_probs.gather(1, labels)[:, 0]
