"""Control: order samples by the share of graph neighbors with another label."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from graphprune.extrapolate.base import Inputs
from graphprune.extrapolate.controls.ranks import RankControl
from graphprune.extrapolate.features import disagreement
from graphprune.registry import register


@register("extrapolator", "label_disagreement", source="graphprune", status="ours", role="control")
class LabelDisagreement(RankControl):
    """Label disagreement: order samples by the share of the k graph neighbors whose label differs.

    For values and standard deviations, see `RankControl`.

    Raises:
        InputError: no labels.

    Cost: O(N k) time.

    >>> import numpy as np
    >>> import torch
    >>> from graphprune import KNNGraph
    >>> x = torch.arange(4.0)[:, None]
    >>> inputs = Inputs(KNNGraph.build(x, k=2), x, labels=torch.tensor([0, 0, 0, 1]))
    >>> LabelDisagreement().fit(inputs, np.array([0, 3]), np.array([0.0, 1.0])).predict().round(2)
    array([0.  , 0.25, 0.75, 1.  ], dtype=float32)
    """

    requires: ClassVar[tuple[str, ...]] = ("labels",)

    def _signal(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> Tensor:
        return disagreement(inputs)
