"""SIGN: graph features computed once, then a network without a graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from graphprune.extrapolate.base import Inputs
from graphprune.extrapolate.features import node_features
from graphprune.extrapolate.network import NetworkExtrapolator, Run, mlp, number_format
from graphprune.graph.propagate import Propagator, gcn_table
from graphprune.registry import register


@register("extrapolator", "sign", source="Frasca et al., arXiv 2004.11198 (2020)", status="ours")
@dataclass(kw_only=True, eq=False, repr=False)
class SIGN(NetworkExtrapolator):
    r"""SIGN: predict by a perceptron on ``[X, AX, ..., A^h X]``, where A is the normalized kNN graph (see `GCN`).

    graphprune formulation, after Frasca et al. (2020): one perceptron over all hops. The cost of training does
    not depend on the size of the graph, so the method scales to any number of samples.

    For the other arguments, the training and the standard deviation, see `NetworkExtrapolator`.

    Args:
        hops: Number h of products with A (default: 3).

    Cost: O(hops N k F) once, then O(steps * batch_size * hops * F); O(N hops F) memory.

    >>> import numpy as np
    >>> from graphprune import KNNGraph
    >>> x = torch.arange(20.0)[:, None] / 20
    >>> inputs = Inputs(KNNGraph.build(x, k=2), x)
    >>> seeds = np.arange(0, 20, 2)
    >>> SIGN(hidden=[8], hops=2, steps=2).fit(inputs, seeds, x[seeds, 0].numpy()).predict().shape
    (20,)
    """

    hops: Annotated[int, Field(ge=0, le=1_000)] = 3

    def _build(self, inputs: Inputs, seed_rows: Tensor) -> tuple[nn.Module, Run]:
        step = Propagator(*gcn_table(inputs.graph.indices, inputs.graph.link_weights()))
        columns = [node_features(inputs, self.features, normalize=self.normalize)]
        for _ in range(self.hops):
            columns.append(step.forward(columns[-1]))
        network = mlp((sum(c.shape[1] for c in columns), *self.hidden, 1), self.dropout)
        seeds = torch.cat([c[seed_rows] for c in columns], dim=1).to(number_format(self.precision, inputs.n))

        def run(rows: Tensor | None) -> Tensor:
            if rows is not None:
                output: Tensor = network(seeds[torch.searchsorted(seed_rows, rows)])
                return output.squeeze(1)
            parts = zip(*(torch.split(c, 4096) for c in columns), strict=True)
            return torch.cat([network(torch.cat(part, dim=1)) for part in parts]).squeeze(1)

        return network, run
