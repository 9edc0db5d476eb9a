"""Control: ridge regression from features to scores."""

from __future__ import annotations

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
    r"""Ridge: predict by least squares with an L2 penalty, chosen by leave-one-out error on the seeds.

    .. math:: \min_\beta \lVert s - \bar s - X\beta \rVert^2 + \alpha \lVert\beta\rVert^2

    The fit is scikit-learn's ``RidgeCV``. Columns are standardized over all samples. The standard deviation of every
    prediction is the root mean square leave-one-out error.

    Args:
        features: Columns of each sample, see `node_features` (default: one-hot label and embedding).
        normalize: Scale embeddings to length 1 (default: False).
        alphas: Candidate penalties.

    Raises:
        InputError: fewer than 2 seeds, or a feature whose input is missing.

    Cost: O(M F min(M, F)) time, O(N F) memory.

    >>> import numpy as np
    >>> from graphprune import KNNGraph
    >>> x = torch.arange(8.0)[:, None]
    >>> inputs = Inputs(KNNGraph.build(x, k=2), x)
    >>> method = Ridge(alphas=[1e-3]).fit(inputs, np.array([0, 2, 5, 7]), np.array([0.0, 2.0, 5.0, 7.0]))
    >>> method.predict().round(2)
    array([0., 1., 2., 3., 4., 5., 6., 7.], dtype=float32)
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
        from sklearn.linear_model import RidgeCV

        x = standardize(node_features(inputs, self.features, normalize=self.normalize))
        fit = RidgeCV(alphas=self.alphas).fit(x[seed_rows].numpy(), seed_scores.to(torch.float64).numpy())
        self.alpha_ = float(fit.alpha_)
        self.loo_std_ = float(-fit.best_score_) ** 0.5
        self.values_: Tensor = x @ torch.from_numpy(fit.coef_).to(torch.float32) + float(fit.intercept_)

    def _predict(self) -> Tensor:
        return self.values_

    def _predict_std(self) -> Tensor:
        return torch.full_like(self.values_, self.loo_std_)
