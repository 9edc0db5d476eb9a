"""ST-spatial: the deviation of forecast errors over sensors, the second term of ST-complexity."""

from __future__ import annotations

from torch import Tensor

from graphprune.registry import register
from graphprune.scores.st_complexity import STComplexity


@register("score", "st_spatial", source="after Chen et al., arXiv 2602.19113 (2026)", status="ours")
class STSpatial(STComplexity):
    """ST-spatial: score windows by the deviation over sensors of the mean absolute error over time.

    The deviation is standardized over the recorded windows. graphprune formulation: `STComplexity` with the weights
    a = 1, b = 0, level = 0, and the same shapes and cost.

    Args:
        links: As in `STComplexity`, for windows of single sensors (default: None).

    >>> import torch
    >>> from graphprune.scores.base import Signals
    >>> score = STSpatial()
    >>> score.start(2, epochs=1, num_classes=None)
    >>> errors = torch.tensor([[[1.0, 1.0], [1.0, 1.0]], [[2.0, 4.0], [6.0, 8.0]]])  # [windows, steps, sensors]
    >>> score.update(torch.arange(2), Signals(errors=errors), epoch=0)
    >>> score.values().tolist()
    [-1.0, 1.0]
    """

    def __init__(self, *, links: Tensor | None = None) -> None:
        super().__init__(a=1, b=0, level=0, links=links)
