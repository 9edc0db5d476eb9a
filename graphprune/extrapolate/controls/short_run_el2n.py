"""Control: a short run on all data, ordered by EL2N."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from graphprune.extrapolate.base import Inputs
from graphprune.extrapolate.controls.ranks import RankControl
from graphprune.registry import register


@register("extrapolator", "short_run_el2n", source="graphprune", status="ours", role="control")
class ShortRunEL2N(RankControl):
    """Order by EL2N ``||softmax - onehot||`` in a short run on all data, mean over its epochs.

    Values and standard deviation: see `RankControl`. Cost: O(E N), and the short run; the seed run only
    gives the scale.
    """

    requires: ClassVar[tuple[str, ...]] = ("short_run", "labels")
    reads: ClassVar[tuple[str, ...]] = ("short_run",)

    def _signal(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> Tensor:
        assert inputs.short_run is not None
        return inputs.short_run.mean("el2n")
