"""Control: windows ordered by how far off the seed model's own forecasts are, without any fit."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from graphprune.extrapolate.base import Inputs
from graphprune.extrapolate.controls.ranks import RankControl
from graphprune.registry import register


@register("extrapolator", "seed_errors", source="graphprune", status="ours", role="control")
class SeedErrors(RankControl):
    """Order by the ST-complexity of the seed model's forecast errors on every window.

    A window brings its own truth, so that one forward pass of the seed model over all windows says how hard each
    was for a model that never saw it; see `graphprune.scores.st_complexity`. Values and standard deviation: see
    `RankControl`. Cost: O(N log N), the seed run and one pass over the windows.
    """

    requires: ClassVar[tuple[str, ...]] = ("seed_errors",)
    reads: ClassVar[tuple[str, ...]] = ("scores", "seed_errors")

    def _signal(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> Tensor:
        assert inputs.seed_errors is not None
        return inputs.seed_errors.double()
