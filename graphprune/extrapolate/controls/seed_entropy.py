"""Control: order samples by the entropy of the seed model's prediction."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from graphprune.extrapolate.base import Inputs
from graphprune.extrapolate.controls.ranks import RankControl
from graphprune.registry import register


@register("extrapolator", "seed_entropy", source="graphprune", status="ours", role="control")
class SeedEntropy(RankControl):
    """Seed entropy: order samples by the entropy of the seed model's prediction.

    The entropy is the mean over the P checkpoints in ``probes``. For values and standard deviations, see `RankControl`.

    Raises:
        InputError: no probes.

    Cost: O(P N C) time.

    >>> import numpy as np
    >>> from graphprune import KNNGraph
    >>> x = torch.arange(4.0)[:, None]
    >>> probs = torch.tensor([[[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.5, 0.5]]])
    >>> inputs = Inputs(KNNGraph.build(x, k=1), x, probes=probs)
    >>> SeedEntropy().fit(inputs, np.array([0, 3]), np.array([0.0, 1.0])).predict().round(2)
    array([0.  , 0.75, 0.25, 1.  ], dtype=float32)
    """

    reads: ClassVar[tuple[str, ...]] = ("scores", "probes")

    def _signal(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> Tensor:
        return entropy(inputs)


def entropy(inputs: Inputs) -> Tensor:
    """Entropy ``-sum_c p_c log p_c`` ``[N]`` float32 in nats, mean over checkpoints."""
    assert inputs.probes is not None
    return torch.stack([torch.special.entr(p).sum(dim=1) for p in inputs.probes.to(torch.float32)]).mean(
        dim=0
    )
