"""Control: order windows by the complexity of their inputs, without any model."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from graphprune.extrapolate.base import Inputs
from graphprune.extrapolate.controls.ranks import RankControl
from graphprune.registry import register


@register("extrapolator", "input_complexity", source="graphprune", status="ours", role="control")
class InputComplexity(RankControl):
    """Input complexity: order windows by the spectral entropy and lag-1 energy of their inputs.

    It needs no training run; see `graphprune.scores.input_complexity`. For values and standard deviations, see
    `RankControl`.

    Raises:
        InputError: no input complexity.

    Cost: O(N log N) time and one pass over the windows. It needs no seed run, although the seeds' scores set the
    scale.

    >>> import numpy as np
    >>> import torch
    >>> from graphprune import KNNGraph
    >>> x = torch.arange(4.0)[:, None]
    >>> inputs = Inputs(KNNGraph.build(x, k=1), x, input_complexity=torch.tensor([0.1, 0.4, 0.2, 0.9]))
    >>> InputComplexity().fit(inputs, np.array([0, 3]), np.array([0.0, 1.0])).predict().round(2)
    array([0.  , 0.75, 0.25, 1.  ], dtype=float32)
    """

    requires: ClassVar[tuple[str, ...]] = ("input_complexity",)
    reads: ClassVar[tuple[str, ...]] = ("input_complexity",)

    def _signal(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> Tensor:
        assert inputs.input_complexity is not None
        return inputs.input_complexity.double()
