"""Keep samples of every class at random."""

from __future__ import annotations

import torch
from torch import Tensor

from graphprune.registry import register
from graphprune.runtime.math import share_by_class
from graphprune.select.base import Candidates, SelectionRule


@register("selection", "random_per_class", source="the standard baseline", status="confirmed")
class RandomPerClass(SelectionRule):
    """A uniform draw within each class, each class keeping its share of the data. Cost: O(N log N)."""

    requires = ("labels",)

    def _select(self, candidates: Candidates, count: int) -> tuple[Tensor, Tensor]:
        labels = candidates.labels
        assert labels is not None
        kept = []
        for label, share in share_by_class(labels, count).items():
            members = torch.nonzero(labels == label).squeeze(1)
            kept.append(members[torch.randperm(len(members), generator=candidates.generator)[:share]])
        return torch.cat(kept), torch.ones(count)
