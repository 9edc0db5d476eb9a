"""Control: a short run on all data, ordered by how undecided it was about the true label."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from graphprune.extrapolate.base import Inputs
from graphprune.extrapolate.controls.ranks import RankControl
from graphprune.registry import register


@register("extrapolator", "short_run_variance", source="graphprune", status="ours", role="control")
class ShortRunVariance(RankControl):
    """Order by ``p (1 - p)``, p = true-label probability in a short run on all data, mean over its last half.

    The variance of being right at one draw of the label: it asks what the model wavers about, where 1 - p asks what
    it finds hard. On CIFAR-10 and Tiny-ImageNet a like order, of looks on whole passes besides, came nearer to Dynamic
    Uncertainty than any control (``short6: p(1-p)`` in `experiments/extrapolation_cifar10`); for TDDS on CIFAR-10,
    and on digits after three epochs, 1 - p did.
    Values and standard deviation: see `RankControl`.
    Cost: O(E N), and the short run; no seed run (but a table for an arm holds its scores).
    """

    requires: ClassVar[tuple[str, ...]] = ("short_run", "labels")
    reads: ClassVar[tuple[str, ...]] = ("short_run",)

    def _signal(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> Tensor:
        assert inputs.short_run is not None
        p = inputs.short_run.mean("p_true", last=0.5)
        return p * (1 - p)
