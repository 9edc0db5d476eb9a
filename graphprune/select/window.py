"""Window selection: the highest scores without the hardest samples."""

from __future__ import annotations

import torch
from torch import Tensor

from graphprune.options import Part
from graphprune.registry import register
from graphprune.select.base import Candidates, SelectionRule, without_hardest


@register("selection", "window", source="graphprune; 'top' without the hardest end", status="ours")
class Window(SelectionRule):
    """Window: keep the largest scores after dropping the hardest samples.

    Under most difficulty scores, mislabeled and unlearnable samples have the highest scores; this rule drops
    them. Fewer samples are dropped if fewer than ``count`` would remain.

    Args:
        drop_hardest: Fraction of all samples dropped at the top of the ranking, in [0, 1) (default: 0.1).

    Cost: O(N log N).

    >>> from graphprune.select import Window
    >>> from graphprune.table import ScoreTable
    >>> table = ScoreTable([0, 1, 2, 3], [4.0, 3.0, 2.0, 1.0], True)
    >>> Window(drop_hardest=0.25).select(table, 0.5).ids.tolist()
    [1, 2]
    """

    def __init__(self, *, drop_hardest: Part = 0.1) -> None:
        self.drop_hardest = drop_hardest

    def _select(self, candidates: Candidates, count: int) -> tuple[Tensor, Tensor]:
        rows = without_hardest(candidates.scores, self.drop_hardest, count)
        return rows[:count], torch.ones(count)
