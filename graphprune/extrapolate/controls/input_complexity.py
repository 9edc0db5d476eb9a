"""Control: windows ordered by how complex their inputs are, without any model."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from graphprune.extrapolate.base import Inputs
from graphprune.extrapolate.controls.ranks import RankControl
from graphprune.registry import register


@register("extrapolator", "input_complexity", source="graphprune", status="ours", role="control")
class InputComplexity(RankControl):
    """Order by the spectral entropy and lag-1 energy of a window's input: what no training run had to tell.

    See `graphprune.scores.input_complexity`. Values and standard deviation: see `RankControl`. Cost:
    O(N log N), and one pass over the windows; no seed run (but a table for an arm holds its scores).
    """

    requires: ClassVar[tuple[str, ...]] = ("input_complexity",)
    reads: ClassVar[tuple[str, ...]] = ("input_complexity",)

    def _signal(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> Tensor:
        assert inputs.input_complexity is not None
        return inputs.input_complexity.double()
