"""How differently a window's sensors are forecast: the second part of ST-complexity alone."""

from __future__ import annotations

from torch import Tensor

from graphprune.registry import register
from graphprune.scores.st_complexity import STComplexity


@register("score", "st_spatial", source="after Chen et al., arXiv 2602.19113 (2026)", status="ours")
class STSpatial(STComplexity):
    """Std over sensors of the mean absolute error over time, standardised over the recorded windows.

    graphprune formulation: `STComplexity` with the weights a = 1, b = 0, level = 0; shapes and cost as there.

    Args:
        links: As of `STComplexity`, for windows of single sensors.
    """

    def __init__(self, *, links: Tensor | None = None) -> None:
        super().__init__(a=1, b=0, level=0, links=links)
