"""Control: a short run on all data."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from graphprune.extrapolate.base import Inputs
from graphprune.extrapolate.ranks import RankControl
from graphprune.registry import register


@register("extrapolator", "short_run", source="control", status="ours")
class ShortRun(RankControl):
    """Order by ``1 - p``, p = true-label probability in a short run on all data, mean over its epochs.

    Values and standard deviation: see `RankControl`. Cost: O(E N), and the short run.
    """

    requires: ClassVar[tuple[str, ...]] = ("short_run",)

    def _signal(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> Tensor:
        assert inputs.short_run is not None
        return 1 - inputs.short_run.to(torch.float32).mean(dim=0)
