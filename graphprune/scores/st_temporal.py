"""How the forecast error changes within a window: the third part of ST-complexity alone."""

from __future__ import annotations

from graphprune.registry import register
from graphprune.scores.st_complexity import STComplexity


@register("score", "st_temporal", source="after Chen et al., arXiv 2602.19113 (2026)", status="ours")
class STTemporal(STComplexity):
    """Std over time of the mean absolute error over sensors, standardised over the recorded windows.

    graphprune formulation: `STComplexity` with the weights a = 0, b = 1, level = 0; shapes and cost as there.
    """

    def __init__(self) -> None:
        super().__init__(a=0, b=1, level=0)
