"""ST-temporal: the deviation of forecast errors over time, the third term of ST-complexity."""

from __future__ import annotations

from graphprune.registry import register
from graphprune.scores.st_complexity import STComplexity


@register("score", "st_temporal", source="after Chen et al., arXiv 2602.19113 (2026)", status="ours")
class STTemporal(STComplexity):
    """ST-temporal: score windows by the deviation over time of the mean absolute error over sensors.

    The deviation is standardized over the recorded windows. graphprune formulation: `STComplexity` with the weights
    a = 0, b = 1, level = 0, and the same shapes and cost.

    >>> import torch
    >>> from graphprune.scores.base import Signals
    >>> score = STTemporal()
    >>> score.start(2, epochs=1, num_classes=None)
    >>> errors = torch.tensor([[[1.0, 1.0], [1.0, 1.0]], [[2.0, 4.0], [6.0, 8.0]]])  # [windows, steps, sensors]
    >>> score.update(torch.arange(2), Signals(errors=errors), epoch=0)
    >>> score.values().tolist()
    [-1.0, 1.0]
    """

    def __init__(self) -> None:
        super().__init__(a=0, b=1, level=0)
