"""Dynamic Uncertainty as the extrapolation paper records it: online, while training."""

from __future__ import annotations

from typing import Literal

from graphprune.options import Whole
from graphprune.registry import register
from graphprune.scores.dynamic_uncertainty import DynamicUncertainty
from graphprune.scores.windows import Window


@register(
    "score",
    "dynamic_uncertainty_online",
    source="Schmidt et al., arXiv 2506.09010 (2025)",
    status="confirmed",
)
class DynamicUncertaintyOnline(DynamicUncertainty):
    r"""Dynamic Uncertainty from the training forward pass, population deviation, first 2 epochs skipped.

    .. math:: U_i = \frac{1}{K - J} \sum_{k=0}^{K-J-1} \sqrt{\frac1J \sum_{j<J} (p_{k+j}(i) - \bar p_k(i))^2}

    It needs no evaluation pass; the probabilities are those of the augmented sample at the moment it was
    trained on. Windows, shapes, errors and cost as in `DynamicUncertainty`.

    Args:
        window: J, visits per window (default: 10).
        ddof: Subtracted from J in the denominator of the variance (default: 0).
        skip: First epochs of the run that are left out (default: 2).
        signal: ``auto``, ``p_true`` or ``loss`` as in `DynamicUncertainty`.

    Reference: Schmidt et al., arXiv 2506.09010 (2025).
    """

    phase = "train"

    def __init__(
        self,
        *,
        window: Window = 10,
        ddof: Whole = 0,
        skip: Whole = 2,
        signal: Literal["auto", "p_true", "loss"] = "auto",
    ) -> None:
        super().__init__(window=window, ddof=ddof, skip=skip, signal=signal)
