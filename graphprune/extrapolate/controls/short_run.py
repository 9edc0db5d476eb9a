"""Control: a short run on all data, ordered by how little it believed in the true label."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from graphprune.extrapolate.base import Inputs
from graphprune.extrapolate.controls.ranks import RankControl
from graphprune.registry import register


@register("extrapolator", "short_run", source="graphprune", status="ours", role="control")
class ShortRun(RankControl):
    """Order by ``1 - p``, p = true-label probability in a short run on all data, mean over its epochs.

    Where there are no classes, by the mean loss. Values and standard deviation: see `RankControl`.
    Cost: O(E N), and the short run; no seed run (but a table for an arm holds its scores).
    """

    requires: ClassVar[tuple[str, ...]] = ("short_run",)
    reads: ClassVar[tuple[str, ...]] = ("short_run",)

    def _signal(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> Tensor:
        assert inputs.short_run is not None
        log = inputs.short_run
        return log.mean("loss") if log.p_true is None else 1 - log.mean("p_true")
