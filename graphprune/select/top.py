"""Top selection: the highest scores."""

from __future__ import annotations

import torch
from torch import Tensor

from graphprune.registry import register
from graphprune.runtime.math import highest
from graphprune.select.base import Candidates, SelectionRule


@register("selection", "top", source="Schmidt et al., arXiv 2506.09010 (2025)", status="confirmed")
class Top(SelectionRule):
    """Top: keep the samples with the largest scores; ties go to the lower id.

    It suits hard data sets. At small keep fractions it can remove easy classes completely (see ``top_per_class``).

    Cost: O(N log N).

    >>> from graphprune.select import Top
    >>> from graphprune.table import ScoreTable
    >>> table = ScoreTable([0, 1, 2, 3], [1.0, 4.0, 2.0, 3.0], True)
    >>> Top().select(table, 0.5).ids.tolist()
    [1, 3]
    """

    def _select(self, candidates: Candidates, count: int) -> tuple[Tensor, Tensor]:
        return highest(candidates.scores, count), torch.ones(count)
