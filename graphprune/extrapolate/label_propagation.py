"""Scores that flow along the links from the seeds."""

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
    r"""Harmonic function: every unmeasured sample is the weighted mean of its neighbours, seeds stay fixed.

    .. math:: f_i \leftarrow \sum_j w_{ij} f_j \Big/ \sum_j w_{ij} \quad (i \notin \text{seeds})

    That is the expected score of the seed at which a random walk along the links ends. The standard deviation
    is that score's. Walks that meet no seed within ``steps`` count with the seeds' mean. graphprune
    formulation, after Zhu et al. (2003): over the directed kNN graph, with a fixed number of steps.

    Args:
        steps: Rounds of averaging (default: 50).

    Cost: O(steps N k) time, O(N k) memory.
    """

    def __init__(self, *, steps: Annotated[int, Field(ge=1, le=1_000_000)] = 50) -> None:
        self.steps = steps

    def _fit(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> None:
        average = Propagator(*mean_table(inputs.graph.indices, inputs.graph.link_weights()))
        centre = seed_scores.mean()
        known = (seed_scores - centre)[:, None] ** torch.tensor([1, 2])
        moments = known.mean(dim=0).repeat(inputs.n, 1)
        moments[seed_rows] = known
        for _ in range(self.steps):
            moments = average.forward(moments)
            moments[seed_rows] = known
        self.values_ = moments[:, 0] + centre
        self.std_ = (moments[:, 1] - moments[:, 0].square()).clamp(min=0).sqrt()

    def _predict(self) -> Tensor:
        return self.values_

    def _predict_std(self) -> Tensor:
        return self.std_
