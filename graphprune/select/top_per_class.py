"""Top selection within each class."""

from __future__ import annotations

import torch
from torch import Tensor

from graphprune.registry import register
from graphprune.runtime.math import highest, share_by_class
from graphprune.select.base import Candidates, SelectionRule


@register("selection", "top_per_class", source="Schmidt et al., arXiv 2506.09010 (2025)", status="confirmed")
class TopPerClass(SelectionRule):
    """TopPerClass: keep the largest scores of each class; the class shares stay the same.

    Cost: O(N log N).

    >>> import numpy as np
    >>> from graphprune.select import TopPerClass
    >>> from graphprune.table import ScoreTable
    >>> table = ScoreTable([0, 1, 2, 3], [4.0, 3.0, 2.0, 1.0], True)
    >>> TopPerClass().select(table, 0.5, labels=np.array([0, 0, 1, 1])).ids.tolist()
    [0, 2]
    """

    requires = ("labels",)

    def _select(self, candidates: Candidates, count: int) -> tuple[Tensor, Tensor]:
        labels = candidates.labels
        assert labels is not None
        kept = []
        for label, share in share_by_class(labels, count).items():
            members = torch.nonzero(labels == label).squeeze(1)
            kept.append(members[highest(candidates.scores[members], share)])
        return torch.cat(kept), torch.ones(count)
