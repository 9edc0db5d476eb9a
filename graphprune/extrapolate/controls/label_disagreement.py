"""Control: how many graph neighbours have another label."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from graphprune.extrapolate.base import Inputs
from graphprune.extrapolate.controls.ranks import RankControl
from graphprune.extrapolate.features import disagreement
from graphprune.registry import register


@register("extrapolator", "label_disagreement", source="graphprune", status="ours", role="control")
class LabelDisagreement(RankControl):
    """Order by the share of the k graph neighbours whose label differs.

    Values and standard deviation: see `RankControl`. Cost: O(N k).
    """

    requires: ClassVar[tuple[str, ...]] = ("labels",)

    def _signal(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> Tensor:
        return disagreement(inputs)
