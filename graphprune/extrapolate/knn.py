"""kNN: scores of unmeasured samples from their nearest seeds."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from graphprune.errors import InputError
from graphprune.extrapolate.base import Extrapolator, Inputs
from graphprune.graph.backends import exact_search
from graphprune.graph.features import search_features
from graphprune.graph.points import Points
from graphprune.options import Count
from graphprune.registry import register


@register("extrapolator", "knn", source="Schmidt et al., arXiv 2506.09010 (2025)", status="confirmed")
class KNN(Extrapolator):
    r"""kNN: predict the weighted mean of the scores of the k nearest seeds.

    .. math:: \hat s_i = \sum_{j \in N_k(i)} w_{ij} s_j, \qquad w_{ij} = \mathrm{softmax}_j(-d_{ij} / \tau)

    The softmax equals the exponential kernel of the paper and cannot underflow to 0/0. The standard deviation
    is that of the neighbors' scores under the same weights.

    Args:
        k: Nearest seeds per sample (default: 20).
        temperature: Divides the distances; ``inf`` gives the plain mean (default: 1).
        normalize: Scale embeddings to length 1 (default: True). The model was trained on the seeds, so their raw
            embeddings are longer than those of other samples.
        labels: Append the one-hot label if there are labels (default: True).
        label_weight: Weight of the one-hot label relative to embeddings of length 1 (default: 1).

    With ``normalize=False`` and ``labels=False`` this is the paper's method: raw embeddings in the graph's metric.

    Shapes:
        ``inputs.embeddings [N, D]``, ``seed_rows [M]`` int64, ``seed_scores [M]`` float32 -> ``[N]`` float32

    Raises:
        InputError: fewer than ``k`` seeds, or a temperature that is not positive.

    Cost: O(N M D) time for exact search, O(N k) memory.

    Reference: Schmidt et al., arXiv 2506.09010 (2025). They also report the plain mean.

    >>> import numpy as np
    >>> from graphprune import KNNGraph
    >>> x = torch.arange(8.0)[:, None]
    >>> inputs = Inputs(KNNGraph.build(x, k=2), x)
    >>> method = KNN(k=2, normalize=False).fit(inputs, np.array([0, 2, 5, 7]), np.array([0.0, 2.0, 5.0, 7.0]))
    >>> method.predict().round(2)  # sample 1 lies between the seeds 0 and 2
    array([0.  , 1.  , 2.  , 2.81, 4.19, 5.  , 6.  , 7.  ], dtype=float32)
    """

    def __init__(
        self,
        *,
        k: Count = 20,
        temperature: Annotated[float, Field(ge=1e-9, allow_inf_nan=True)] = 1.0,
        normalize: bool = True,
        labels: bool = True,
        label_weight: Annotated[float, Field(ge=0, le=1_000_000)] = 1.0,
    ) -> None:
        self.k = k
        self.temperature = temperature
        self.normalize = normalize
        self.labels = labels
        self.label_weight = label_weight

    @property
    def least_seeds(self) -> int:
        return max(2, self.k)

    def _fit(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> None:
        if not self.temperature > 0:
            raise InputError(f"temperature is {self.temperature:g}; set it to a positive number")
        if self.k < 1:
            raise InputError(f"k is {self.k}; set it to at least 1")
        use_labels = self.labels and inputs.labels is not None
        if self.normalize or use_labels:
            labels = inputs.labels if use_labels else None
            x = search_features(
                inputs.embeddings, labels=labels, normalize=self.normalize, label_weight=self.label_weight
            )
            everyone = Points(x, "euclidean")
            own = torch.full((inputs.n,), -1)
            own[seed_rows] = torch.arange(len(seed_rows))
            distances, nearest = exact_search(everyone.subset(seed_rows), everyone, self.k, own=own)
        else:
            distances, nearest = inputs.graph.query(among=seed_rows, k=self.k)
        self.weights_ = torch.softmax(-distances / self.temperature, dim=1)
        self.neighbor_scores_ = seed_scores[nearest]

    def _predict(self) -> Tensor:
        return (self.weights_ * self.neighbor_scores_).sum(dim=1)

    def _predict_std(self) -> Tensor:
        deviation = self.neighbor_scores_ - self._predict()[:, None]
        return (self.weights_ * deviation.square()).sum(dim=1).sqrt()
