"""Control: every sample gets the mean score of the seeds."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from graphprune.extrapolate.base import Extrapolator, Inputs
from graphprune.registry import register


@register("extrapolator", "mean", source="graphprune", status="ours", role="control")
class Mean(Extrapolator):
    """Mean: predict the mean score of the seeds for every sample, with their standard deviation.

    Cost: O(M) time.

    >>> import numpy as np
    >>> from graphprune import KNNGraph
    >>> x = torch.arange(4.0)[:, None]
    >>> inputs = Inputs(KNNGraph.build(x, k=1), x)
    >>> Mean().fit(inputs, np.array([0, 3]), np.array([0.0, 1.0])).predict().round(2)
    array([0. , 0.5, 0.5, 1. ], dtype=float32)
    """

    reads: ClassVar[tuple[str, ...]] = ("scores",)

    def _fit(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> None:
        self.mean_ = seed_scores.mean()
        self.std_ = seed_scores.std()

    def _predict(self) -> Tensor:
        return torch.full((self.n_,), float(self.mean_))

    def _predict_std(self) -> Tensor:
        return torch.full((self.n_,), float(self.std_))
