"""Control: how undecided the seed model is."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from graphprune.extrapolate.base import Inputs
from graphprune.extrapolate.controls.ranks import RankControl
from graphprune.registry import register


@register("extrapolator", "seed_entropy", source="graphprune", status="ours", role="control")
class SeedEntropy(RankControl):
    """Order by the entropy of the seed model's prediction, mean over the checkpoints probed.

    Values and standard deviation: see `RankControl`. Cost: O(P N C).
    """

    reads: ClassVar[tuple[str, ...]] = ("scores", "probes")

    def _signal(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> Tensor:
        return entropy(inputs)


def entropy(inputs: Inputs) -> Tensor:
    """``-sum_c p_c log p_c`` ``[N]`` float32, mean over checkpoints."""
    assert inputs.probes is not None
    return torch.stack([torch.special.entr(p).sum(dim=1) for p in inputs.probes.to(torch.float32)]).mean(
        dim=0
    )
