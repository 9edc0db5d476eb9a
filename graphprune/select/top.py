"""Keep the highest scores."""

from __future__ import annotations

import torch
from torch import Tensor

from graphprune.registry import register
from graphprune.runtime.math import highest
from graphprune.select.base import Candidates, SelectionRule


@register("selection", "top", source="Schmidt et al., arXiv 2506.09010 (2025)", status="confirmed")
class Top(SelectionRule):
    """The ``count`` samples with the largest scores, ties to the lower id. Cost: O(N log N).

    Hard data sets profit; at small keep fractions it can empty easy classes (see ``top_per_class``).
    """

    def _select(self, candidates: Candidates, count: int) -> tuple[Tensor, Tensor]:
        return highest(candidates.scores, count), torch.ones(count)
