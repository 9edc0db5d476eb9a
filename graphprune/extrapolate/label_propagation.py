"""Label propagation: spread the scores of the seeds along the links of the graph."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from graphprune.extrapolate.base import Extrapolator, Inputs
from graphprune.graph.propagate import Propagator, mean_table
from graphprune.registry import register


@register("extrapolator", "label_propagation", source="Zhu, Ghahramani, Lafferty, ICML (2003)", status="ours")
class LabelPropagation(Extrapolator):
    r"""Label propagation: predict the weighted mean of the neighbors' predictions, with the seeds fixed.

    .. math:: f_i \leftarrow \sum_j w_{ij} f_j \Big/ \sum_j w_{ij} \quad (i \notin \text{seeds})

    This harmonic function is the expected score of the first seed that a random walk along the links reaches. The
    standard deviation is that of the same score. Walks that reach no seed within ``steps`` count as the mean of the
    seeds. graphprune formulation, after Zhu et al. (2003): on the directed kNN graph, with a fixed number of steps.

    Args:
        steps: Rounds of averaging (default: 50).

    Cost: O(steps N k) time, O(N k) memory.

    >>> import numpy as np
    >>> from graphprune import KNNGraph
    >>> x = torch.arange(8.0)[:, None]
    >>> inputs = Inputs(KNNGraph.build(x, k=2), x)
    >>> LabelPropagation().fit(inputs, np.array([0, 3, 7]), np.array([0.0, 3.0, 7.0])).predict().round(2)
    array([0., 1., 2., 3., 4., 5., 6., 7.], dtype=float32)
    """

    def __init__(self, *, steps: Annotated[int, Field(ge=1, le=1_000_000)] = 50) -> None:
        self.steps = steps

    def _fit(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> None:
        average = Propagator(*mean_table(inputs.graph.indices, inputs.graph.link_weights()))
        center = seed_scores.mean()
        known = (seed_scores - center)[:, None] ** torch.tensor([1, 2])
        moments = known.mean(dim=0).repeat(inputs.n, 1)
        moments[seed_rows] = known
        for _ in range(self.steps):
            moments = average.forward(moments)
            moments[seed_rows] = known
        self.values_ = moments[:, 0] + center
        self.std_ = (moments[:, 1] - moments[:, 0].square()).clamp(min=0).sqrt()

    def _predict(self) -> Tensor:
        return self.values_

    def _predict_std(self) -> Tensor:
        return self.std_
