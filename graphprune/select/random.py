"""Random selection: the baseline that every rule must beat."""

from __future__ import annotations

import torch
from torch import Tensor

from graphprune.registry import register
from graphprune.select.base import Candidates, SelectionRule


@register("selection", "random", source="the standard baseline", status="confirmed")
class Random(SelectionRule):
    """Random: keep a uniform random subset; scores are ignored.

    Cost: O(N).

    >>> from graphprune.select import Random
    >>> from graphprune.table import ScoreTable
    >>> table = ScoreTable([0, 1, 2, 3], [4.0, 3.0, 2.0, 1.0], True)
    >>> len(Random().select(table, 0.5, seed=1))
    2
    """

    def _select(self, candidates: Candidates, count: int) -> tuple[Tensor, Tensor]:
        order = torch.randperm(len(candidates.scores), generator=candidates.generator)
        return order[:count], torch.ones(count)
