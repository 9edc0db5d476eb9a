"""Keep the highest scores of every class."""

from __future__ import annotations

import torch
from torch import Tensor

from graphprune.registry import register
from graphprune.runtime.math import highest, share_by_class
from graphprune.select.base import Candidates, SelectionRule


@register("selection", "top_per_class", source="Schmidt et al., arXiv 2506.09010 (2025)", status="confirmed")
class TopPerClass(SelectionRule):
    """The largest scores within each class, each class keeping its share of the data. Cost: O(N log N)."""

    requires = ("labels",)

    def _select(self, candidates: Candidates, count: int) -> tuple[Tensor, Tensor]:
        labels = candidates.labels
        assert labels is not None
        kept = []
        for label, share in share_by_class(labels, count).items():
            members = torch.nonzero(labels == label).squeeze(1)
            kept.append(members[highest(candidates.scores[members], share)])
        return torch.cat(kept), torch.ones(count)
