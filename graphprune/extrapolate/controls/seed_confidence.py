"""Control: order samples by the seed model's probability of the true label."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from graphprune.extrapolate.base import Inputs
from graphprune.extrapolate.controls.ranks import RankControl
from graphprune.registry import register


@register("extrapolator", "seed_confidence", source="graphprune", status="ours", role="control")
class SeedConfidence(RankControl):
    """Seed confidence: order samples by ``1 - p``, where p is the seed model's true-label probability.

    p is the mean over the P checkpoints in ``probes``. For values and standard deviations, see `RankControl`.

    Raises:
        InputError: no probes or no labels.

    Cost: O(P N C) time.

    >>> import numpy as np
    >>> from graphprune import KNNGraph
    >>> x = torch.arange(4.0)[:, None]
    >>> probs = torch.tensor([[[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.5, 0.5]]])
    >>> inputs = Inputs(KNNGraph.build(x, k=1), x, labels=torch.tensor([0, 0, 0, 0]), probes=probs)
    >>> SeedConfidence().fit(inputs, np.array([0, 3]), np.array([0.0, 1.0])).predict().round(2)
    array([0.  , 0.75, 0.25, 1.  ], dtype=float32)
    """

    requires: ClassVar[tuple[str, ...]] = ("probes", "labels")
    reads: ClassVar[tuple[str, ...]] = ("scores", "probes")

    def _signal(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> Tensor:
        return one_minus_p(inputs)


def one_minus_p(inputs: Inputs) -> Tensor:
    """One minus the true-label probability ``[N]`` float32, mean over checkpoints."""
    assert inputs.probes is not None
    assert inputs.labels is not None
    own = torch.stack(
        [p.gather(1, inputs.labels[:, None]).squeeze(1) for p in inputs.probes.to(torch.float32)]
    )
    return 1 - own.mean(dim=0)
