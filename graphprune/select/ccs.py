"""CCS: coverage-centric selection over strata of the score."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from graphprune.options import Part
from graphprune.registry import register
from graphprune.select.base import Candidates, SelectionRule, without_hardest


@register("selection", "ccs", source="Zheng et al., ICLR 2023, arXiv 2210.15809", status="confirmed")
class CCS(SelectionRule):
    """CCS: drop the hardest samples, then draw evenly over strata of the score.

    The range of the remaining scores is divided into ``strata`` intervals of equal width. Strata are filled
    from the smallest to the largest: each receives ``min(its size, remaining budget / remaining strata)``
    draws, so the unused budget of small strata goes to the others.

    With second scores, the samples with the largest second scores are dropped instead. The authors drop the
    samples with the smallest area under the margin, which are often mislabeled, and stratify another score;
    for this, pass the score ``aum`` as second scores (here, larger means harder).

    Args:
        drop_hardest: Fraction beta of all samples dropped at the hard end, in [0, 1) (default: 0.1). The paper
            tunes it per keep fraction (on CIFAR-10 from 0 at keep >= 0.5 to 0.3 at keep 0.1). Fewer samples are
            dropped if fewer than ``count`` would remain.
        strata: Number of intervals of the score range (default: 50).

    Cost: O(N log N).

    Reference: Zheng et al., ICLR 2023, arXiv 2210.15809. Their intervals are 0.01 % of the largest score wider
    in total, so a score at a border may fall into another interval.

    >>> from graphprune.select import CCS
    >>> from graphprune.table import ScoreTable
    >>> table = ScoreTable([0, 1, 2, 3], [0.0, 1.0, 2.0, 9.0], True)
    >>> CCS(drop_hardest=0.25, strata=2).select(table, 0.75).ids.tolist()
    [0, 1, 2]
    """

    reads_second = True

    def __init__(
        self, *, drop_hardest: Part = 0.1, strata: Annotated[int, Field(ge=1, le=1_000_000)] = 50
    ) -> None:
        self.drop_hardest, self.strata = drop_hardest, strata

    def _select(self, candidates: Candidates, count: int) -> tuple[Tensor, Tensor]:
        hardness = candidates.scores if candidates.second_scores is None else candidates.second_scores
        rows = without_hardest(hardness, self.drop_hardest, count)
        # Shuffled first, so that the first b rows of each stratum are a uniform draw from it.
        rows = rows[torch.randperm(len(rows), generator=candidates.generator)]
        stratum = self._stratum(candidates.scores[rows].double())
        rows = rows[torch.argsort(stratum, stable=True)]
        sizes = torch.bincount(stratum, minlength=self.strata)
        kept, start = [], 0
        for size, budget in zip(sizes.tolist(), self._budgets(sizes, count), strict=True):
            kept.append(rows[start : start + budget])
            start += size
        return torch.cat(kept), torch.ones(count)

    def _stratum(self, scores: Tensor) -> Tensor:
        low, high = scores.min(), scores.max()
        width = (high - low).clamp_min(torch.finfo(torch.float64).tiny)
        return ((scores - low) / width * self.strata).long().clamp_max(self.strata - 1)

    @staticmethod
    def _budgets(sizes: Tensor, count: int) -> list[int]:
        budgets = [0] * len(sizes)
        left = count
        for done, stratum in enumerate(torch.argsort(sizes, stable=True).tolist()):
            budgets[stratum] = min(int(sizes[stratum]), left // (len(sizes) - done))
            left -= budgets[stratum]
        return budgets
