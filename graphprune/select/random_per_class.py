"""Random selection within each class."""

from __future__ import annotations

import torch
from torch import Tensor

from graphprune.registry import register
from graphprune.runtime.math import share_by_class
from graphprune.select.base import Candidates, SelectionRule


@register("selection", "random_per_class", source="the standard baseline", status="confirmed")
class RandomPerClass(SelectionRule):
    """RandomPerClass: keep a uniform random subset of each class; the class shares stay the same.

    Cost: O(N log N).

    >>> import numpy as np
    >>> from graphprune.select import RandomPerClass
    >>> from graphprune.table import ScoreTable
    >>> table, labels = ScoreTable([0, 1, 2, 3], [4.0, 3.0, 2.0, 1.0], True), np.array([0, 0, 1, 1])
    >>> labels[RandomPerClass().select(table, 0.5, labels=labels).ids].tolist()
    [0, 1]
    """

    requires = ("labels",)

    def _select(self, candidates: Candidates, count: int) -> tuple[Tensor, Tensor]:
        labels = candidates.labels
        assert labels is not None
        kept = []
        for label, share in share_by_class(labels, count).items():
            members = torch.nonzero(labels == label).squeeze(1)
            kept.append(members[torch.randperm(len(members), generator=candidates.generator)[:share]])
        return torch.cat(kept), torch.ones(count)
