"""Control: how little the seed model believes in the true label."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from graphprune.extrapolate.base import Inputs
from graphprune.extrapolate.controls.ranks import RankControl
from graphprune.registry import register


@register("extrapolator", "seed_confidence", source="graphprune", status="ours", role="control")
class SeedConfidence(RankControl):
    """Order by ``1 - p``, p = true-label probability of the seed model, mean over the checkpoints probed.

    Values and standard deviation: see `RankControl`. Cost: O(P N C).
    """

    requires: ClassVar[tuple[str, ...]] = ("probes", "labels")
    reads: ClassVar[tuple[str, ...]] = ("scores", "probes")

    def _signal(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> Tensor:
        return doubt(inputs)


def doubt(inputs: Inputs) -> Tensor:
    """``1 - p`` of the true label ``[N]`` float32, mean over checkpoints."""
    assert inputs.probes is not None
    assert inputs.labels is not None
    own = torch.stack(
        [p.gather(1, inputs.labels[:, None]).squeeze(1) for p in inputs.probes.to(torch.float32)]
    )
    return 1 - own.mean(dim=0)
