"""Online Dynamic Uncertainty: recorded during training, as in the extrapolation paper."""

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
    r"""Online Dynamic Uncertainty: score samples by Dynamic Uncertainty of the training forward pass.

    .. math:: U_i = \frac{1}{K - J + 1} \sum_{k=0}^{K-J} \sqrt{\frac1J \sum_{j<J} (p_{k+j}(i) - \bar p_k(i))^2}

    K is the number of the sample's visits after ``skip``. Every window counts, including the last, as in the code of
    the extrapolation paper (E - J - 1 windows of E epochs); `DynamicUncertainty` omits the last one. The score uses
    the population deviation and needs no evaluation pass: the probabilities are those of the augmented sample at its
    training step.

    Args:
        window: J, visits per window (default: 10).
        ddof: Subtracted from J in the denominator of the variance (default: 0).
        skip: Number of first epochs that are skipped (default: 2).
        signal: ``auto``, ``p_true`` or ``loss``, as in `DynamicUncertainty` (default: ``auto``).

    Shapes:
        state ``[n, J]`` float32 -> values ``[n]`` float32; 0 for samples with fewer than J visits.

    Raises:
        InputError: fewer than ``skip + J`` epochs; ``p_true`` without classes; arguments out of range.

    Cost: O(B J) time per batch, O(N J) memory.

    Reference: Schmidt et al., arXiv 2506.09010 (2025).

    >>> import numpy as np
    >>> from graphprune.scores.trajectories import scores_from_trajectories
    >>> p_true = np.array([[0.2, 0.9], [0.8, 0.9], [0.4, 0.9], [0.6, 0.9]])  # [epochs, samples]
    >>> scores_from_trajectories(DynamicUncertaintyOnline(window=3, skip=0), p_true=p_true).round(3)
    array([0.206, 0.   ], dtype=float32)
    """

    phase = "train"
    _counts_last_window = True

    def __init__(
        self,
        *,
        window: Window = 10,
        ddof: Whole = 0,
        skip: Whole = 2,
        signal: Literal["auto", "p_true", "loss"] = "auto",
    ) -> None:
        super().__init__(window=window, ddof=ddof, skip=skip, signal=signal)
