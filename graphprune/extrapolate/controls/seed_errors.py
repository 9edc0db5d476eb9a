"""Control: order windows by the errors of the seed model's forecasts, without any fit."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from graphprune.extrapolate.base import Inputs
from graphprune.extrapolate.controls.ranks import RankControl
from graphprune.registry import register


@register("extrapolator", "seed_errors", source="graphprune", status="ours", role="control")
class SeedErrors(RankControl):
    """Seed errors: order windows by the ST-complexity of the seed model's forecast errors.

    Every window contains its own target, so one forward pass of the seed model over all windows measures how hard
    each window is for a model that was not trained on it; see `graphprune.scores.st_complexity`. For values and
    standard deviations, see `RankControl`.

    Raises:
        InputError: no seed errors.

    Cost: O(N log N) time, the seed run and one pass over the windows.

    >>> import numpy as np
    >>> import torch
    >>> from graphprune import KNNGraph
    >>> x = torch.arange(4.0)[:, None]
    >>> inputs = Inputs(KNNGraph.build(x, k=1), x, seed_errors=torch.tensor([0.1, 0.4, 0.2, 0.9]))
    >>> SeedErrors().fit(inputs, np.array([0, 3]), np.array([0.0, 1.0])).predict().round(2)
    array([0.  , 0.75, 0.25, 1.  ], dtype=float32)
    """

    requires: ClassVar[tuple[str, ...]] = ("seed_errors",)
    reads: ClassVar[tuple[str, ...]] = ("scores", "seed_errors")

    def _signal(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> Tensor:
        assert inputs.seed_errors is not None
        return inputs.seed_errors.double()
