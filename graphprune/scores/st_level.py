"""How large the forecast errors of a window are: the first part of ST-complexity alone."""

from __future__ import annotations

from graphprune.registry import register
from graphprune.scores.st_complexity import STComplexity


@register("score", "st_level", source="after Chen et al., arXiv 2602.19113 (2026)", status="ours")
class STLevel(STComplexity):
    """Mean absolute error of a window at its last visit, standardised over the recorded windows.

    graphprune formulation: `STComplexity` with the weights a = 0, b = 0, level = 1; shapes and cost as there.
    """

    def __init__(self) -> None:
        super().__init__(a=0, b=0, level=1)
