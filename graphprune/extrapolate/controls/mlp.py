"""Control: the network of the graph methods, without a graph."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from graphprune.extrapolate.base import Inputs
from graphprune.extrapolate.features import node_features
from graphprune.extrapolate.network import NetworkExtrapolator, Run, mlp
from graphprune.registry import register


@register("extrapolator", "mlp", source="graphprune", status="ours", role="control")
@dataclass(kw_only=True, eq=False, repr=False)
class MLP(NetworkExtrapolator):
    """MLP: predict by a perceptron (features-512-256-1) with ReLU and dropout on each sample's own features.

    For the arguments, the training and the standard deviation, see `NetworkExtrapolator`.

    Cost: O(steps * batch_size * F) time, O(N F) memory.

    >>> import numpy as np
    >>> import torch
    >>> from graphprune import KNNGraph
    >>> x = torch.arange(20.0)[:, None] / 20
    >>> inputs = Inputs(KNNGraph.build(x, k=2), x)
    >>> seeds = np.arange(0, 20, 2)
    >>> MLP(hidden=[8], steps=2).fit(inputs, seeds, x[seeds, 0].numpy()).predict().shape
    (20,)
    """

    def _build(self, inputs: Inputs, seed_rows: Tensor) -> tuple[nn.Module, Run]:
        x = node_features(inputs, self.features, normalize=self.normalize)
        network = mlp((x.shape[1], *self.hidden, 1), self.dropout)

        def run(rows: Tensor | None) -> Tensor:
            output: Tensor = network(x if rows is None else x[rows])
            return output.squeeze(1)

        return network, run
