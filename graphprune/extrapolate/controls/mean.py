"""Control: everybody gets the seeds' mean."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from graphprune.extrapolate.base import Extrapolator, Inputs
from graphprune.registry import register


@register("extrapolator", "mean", source="graphprune", status="ours", role="control")
class Mean(Extrapolator):
    """The mean score of the seeds, with their standard deviation. Cost: O(M)."""

    reads: ClassVar[tuple[str, ...]] = ("scores",)

    def _fit(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> None:
        self.mean_ = seed_scores.mean()
        self.std_ = seed_scores.std()

    def _predict(self) -> Tensor:
        return torch.full((self.n_,), float(self.mean_))

    def _predict_std(self) -> Tensor:
        return torch.full((self.n_,), float(self.std_))
