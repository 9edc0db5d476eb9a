"""GraphSAGE: a sample together with the mean of its neighbors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from graphprune.extrapolate.base import Inputs
from graphprune.extrapolate.features import node_features
from graphprune.extrapolate.gcn import receptive_field
from graphprune.extrapolate.network import Dropout, NetworkExtrapolator, Run, number_format
from graphprune.graph.propagate import Propagator
from graphprune.options import Count
from graphprune.registry import register


@register("extrapolator", "sage", source="Hamilton et al., arXiv 1706.02216 (2017)", status="ours")
@dataclass(kw_only=True, eq=False, repr=False)
class SAGE(NetworkExtrapolator):
    r"""GraphSAGE: predict by layers with the mean aggregator over the kNN graph, trained on the seeds.

    .. math:: h_i' = W_1 \, \frac{1}{k} \sum_{j \in N(i)} h_j + b + W_2 h_i

    The layers are PyTorch Geometric's ``SAGEConv``; our kernel computes the means. All neighbors and full
    batches are used, whereas the paper samples both.

    For the arguments, the training and the standard deviation, see `NetworkExtrapolator`.

    Cost: O(steps * N * (k + hidden) * hidden) time, O(N * (features + hidden)) memory.

    Reference: Hamilton et al., arXiv 1706.02216 (2017).

    >>> import numpy as np
    >>> from graphprune import KNNGraph
    >>> x = torch.arange(20.0)[:, None] / 20
    >>> inputs = Inputs(KNNGraph.build(x, k=2), x)
    >>> seeds = np.arange(0, 20, 2)
    >>> SAGE(hidden=[8], steps=2).fit(inputs, seeds, x[seeds, 0].numpy()).predict().shape
    (20,)
    """

    batch_size: Count | None = None

    def _build(self, inputs: Inputs, seed_rows: Tensor) -> tuple[nn.Module, Run]:
        indices, weights = sage_table(inputs.graph.indices, inputs.graph.distances)
        x = node_features(inputs, self.features, normalize=self.normalize)
        network = SAGELayers((x.shape[1], *self.hidden, 1), self.dropout)
        blocks, sources = receptive_field(indices, weights, seed_rows, len(self.hidden) + 1)
        inner = x[sources].to(number_format(self.precision, inputs.n))

        def run(rows: Tensor | None) -> Tensor:
            if rows is None:
                output: Tensor = network(x, [Propagator(indices, weights)] * (len(self.hidden) + 1))
                return output
            output = network(inner, blocks)
            return output[torch.searchsorted(seed_rows, rows)]

        return network, run


class SAGELayers(nn.Module):
    """``SAGEConv`` layers with ReLU and dropout between them."""

    def __init__(self, sizes: Sequence[int], dropout: float) -> None:
        from torch_geometric.nn import SAGEConv

        super().__init__()
        self.layers = nn.ModuleList([SAGEConv(left, right) for left, right in pairwise(sizes)])
        self.dropout = Dropout(dropout)

    def forward(self, h: Tensor, blocks: Sequence[Propagator]) -> Tensor:
        """Computes outputs ``[n]`` of the last block's targets from ``h [N, F]``, with one block per layer."""
        for depth, (layer, block) in enumerate(zip(self.layers, blocks, strict=True)):
            if depth:
                h = self.dropout(torch.relu(h))
            h = convolve(layer, h, block)
        return h.squeeze(1)


def convolve(layer: Any, h: Tensor, block: Propagator) -> Tensor:
    """Applies one ``SAGEConv`` with means computed by ``block``, whose first column is the sample itself."""
    own = h[block.indices[:, 0].to(torch.int64)]
    return linear(block(h), layer.lin_l.weight, layer.lin_l.bias) + linear(own, layer.lin_r.weight)


def sage_table(indices: Tensor, distances: Tensor) -> tuple[Tensor, Tensor]:
    """Indices and weights ``[N, k + 1]``: the sample itself at weight 0, then its neighbors with equal weights."""
    real = distances.isfinite().to(torch.float32)
    own = torch.arange(len(indices), dtype=indices.dtype)[:, None]
    share = real / real.sum(dim=1, keepdim=True).clamp(min=1)
    return torch.cat([own, indices], dim=1), torch.cat([torch.zeros(len(indices), 1), share], dim=1)
