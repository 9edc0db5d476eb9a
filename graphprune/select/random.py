"""Keep samples at random: the baseline that every rule must beat."""

from __future__ import annotations

import torch
from torch import Tensor

from graphprune.registry import register
from graphprune.select.base import Candidates, SelectionRule


@register("selection", "random", source="the standard baseline", status="confirmed")
class Random(SelectionRule):
    """A uniform draw without replacement that ignores the scores. Cost: O(N)."""

    def _select(self, candidates: Candidates, count: int) -> tuple[Tensor, Tensor]:
        order = torch.randperm(len(candidates.scores), generator=candidates.generator)
        return order[:count], torch.ones(count)
