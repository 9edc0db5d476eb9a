"""Control: a linear map from features to scores."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from graphprune.extrapolate.base import Extrapolator, Inputs
from graphprune.extrapolate.features import Features, check_features, node_features
from graphprune.registry import register
from graphprune.runtime.facts import JobFacts
from graphprune.runtime.math import standardize

Penalty = Annotated[float, Field(gt=0, le=1e12)]


@register("extrapolator", "ridge", source="Hoerl and Kennard (1970)", status="ours", role="control")
class Ridge(Extrapolator):
    r"""Least squares with an L2 penalty, its strength chosen by leave-one-out error on the seeds.

    .. math:: \min_\beta \lVert s - \bar s - X\beta \rVert^2 + \alpha \lVert\beta\rVert^2

    Columns are standardised over all samples. The standard deviation is the root mean square leave-one-out
    error.

    Args:
        features: See `node_features` (default: one-hot label and embedding).
        normalize: Scale embeddings to length 1 (default: False).
        alphas: Penalties tried.

    Cost: O(M F min(M, F)) time, O(N F) memory.
    """

    def __init__(
        self,
        *,
        features: Features = ("label", "embedding"),
        normalize: bool = False,
        alphas: Annotated[Sequence[Penalty], Field(min_length=1)] = (0.1, 1.0, 10.0, 100.0, 1e3, 1e4, 1e5),
    ) -> None:
        self.features = features
        self.normalize = normalize
        self.alphas = alphas

    def check(self, job: JobFacts) -> None:
        super().check(job)
        check_features(self.features, job)

    def _fit(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> None:
        x = standardize(node_features(inputs, self.features, normalize=self.normalize))
        centre = x[seed_rows].mean(dim=0)
        seeds = (x[seed_rows] - centre).to(torch.float64)
        mean = seed_scores.to(torch.float64).mean()
        target = seed_scores.to(torch.float64) - mean
        u, s, v = torch.linalg.svd(seeds, full_matrices=False)
        share = u.square()
        least, self.alpha_ = math.inf, self.alphas[0]
        for alpha in self.alphas:
            shrink = s.square() / (s.square() + alpha)
            # Leave-one-out residuals from the hat matrix, the mean's 1/M included.
            leverage = (share @ shrink + 1 / len(seeds)).clamp(max=1 - 1e-9)
            residual = (target - u @ (shrink * (u.T @ target))) / (1 - leverage)
            error = float(residual.square().mean())
            if error < least:
                least, self.alpha_ = error, alpha
        self.loo_std_ = least**0.5
        coefficients = v.T @ (s / (s.square() + self.alpha_) * (u.T @ target))
        self.values_: Tensor = ((x - centre) @ coefficients.to(torch.float32)) + mean.to(torch.float32)

    def _predict(self) -> Tensor:
        return self.values_

    def _predict_std(self) -> Tensor:
        return torch.full_like(self.values_, self.loo_std_)
