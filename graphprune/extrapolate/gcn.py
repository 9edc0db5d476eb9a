"""GCN: the graph convolutional network of the extrapolation paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from graphprune.extrapolate.base import Inputs
from graphprune.extrapolate.features import node_features
from graphprune.extrapolate.network import Dropout, NetworkExtrapolator, Run, number_format
from graphprune.graph.propagate import Propagator, gcn_table, locality_order, reorder
from graphprune.options import Count
from graphprune.registry import register

# From this many samples on, even 32 columns exceed the cache, and ordering samples by locality helps.
_ORDERED_FROM = 131_072


@register("extrapolator", "gcn", source="Schmidt et al., arXiv 2506.09010 (2025)", status="confirmed")
@dataclass(kw_only=True, eq=False, repr=False)
class GCN(NetworkExtrapolator):
    r"""GCN: predict by graph convolutions (features-512-256-1) over the kNN graph, trained on the seeds.

    .. math:: H^{(l+1)} = \mathrm{dropout}(\mathrm{ReLU}(\tilde A H^{(l)} W^{(l)} + b^{(l)})), \qquad
              \tilde A = D^{-1/2} (A + I) D^{-1/2}, \qquad A_{ij} = e^{-d_{ij} / 2}

    The nodes are all samples with the features ``[one-hot label; embedding]``; links point from neighbor to sample.

    Where we differ from the paper: training uses full batches over all samples that the seeds' predictions depend on,
    instead of 128 seeds with sampled neighbors. Because :math:`\tilde A X` is computed once, the first layer needs no
    aggregation during training.

    For the arguments, the training and the standard deviation, see `NetworkExtrapolator`.

    Cost: O(steps * N * (k + hidden) * hidden) time, O(N * (features + hidden)) memory.

    Reference: Schmidt et al., arXiv 2506.09010 (2025); Kipf and Welling (2017), arXiv 1609.02907.

    >>> import numpy as np
    >>> from graphprune import KNNGraph
    >>> x = torch.arange(20.0)[:, None] / 20
    >>> inputs = Inputs(KNNGraph.build(x, k=2), x)
    >>> seeds = np.arange(0, 20, 2)
    >>> GCN(hidden=[8], steps=2).fit(inputs, seeds, x[seeds, 0].numpy()).predict().shape
    (20,)
    """

    batch_size: Count | None = None

    def _build(self, inputs: Inputs, seed_rows: Tensor) -> tuple[nn.Module, Run]:
        n = inputs.n
        order = locality_order(inputs.graph.indices) if n >= _ORDERED_FROM else torch.arange(n)
        place = torch.argsort(order)
        indices, weights = reorder(*gcn_table(inputs.graph.indices, inputs.graph.link_weights()), order)
        x = node_features(inputs, self.features, normalize=self.normalize)[order]
        x = Propagator(indices, weights).forward(x)
        layers = GraphConvolutions((x.shape[1], *self.hidden, 1), self.dropout)
        seeds = place[seed_rows].sort().values
        blocks, sources = receptive_field(indices, weights, seeds, len(self.hidden))
        inner = x[sources].to(number_format(self.precision, n))

        def run(rows: Tensor | None) -> Tensor:
            if rows is None:
                step = Propagator(indices, weights)
                outputs: Tensor = layers(x, [step] * len(self.hidden))
                return outputs[place]
            outputs = layers(inner, blocks)
            return outputs[torch.searchsorted(seeds, place[rows])]

        return layers, run


class GraphConvolutions(nn.Module):
    """Layers ``A H W + b`` with ReLU and dropout between them; the input is already multiplied by A once."""

    def __init__(self, sizes: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        shapes = list(pairwise(sizes))
        self.weights = nn.ParameterList([nn.init.xavier_uniform_(torch.empty(shape)) for shape in shapes])
        self.biases = nn.ParameterList([torch.zeros(right) for _, right in shapes])

    def forward(self, x: Tensor, blocks: Sequence[Propagator]) -> Tensor:
        """Computes outputs ``[n]`` of the last block's targets from ``x [N, F]``, with one block per later layer."""
        h: Tensor = linear(x, self.weights[0].T, self.biases[0])
        for block, weight, bias in zip(blocks, self.weights[1:], self.biases[1:], strict=True):
            h = block(self.dropout(torch.relu(h)) @ weight) + bias.to(h.dtype)
        return h.squeeze(1)


def receptive_field(
    indices: Tensor, weights: Tensor, rows: Tensor, hops: int
) -> tuple[list[Propagator], Tensor]:
    """Finds the parts of a table that ``rows`` depend on through ``hops`` products, first product first.

    Returns:
        One propagator per product, and the rows ``[S]`` whose values enter the first product.
    """
    blocks = []
    for _ in range(hops):
        sources, local = torch.unique(indices[rows], return_inverse=True)
        blocks.append(Propagator(local, weights[rows], sources=len(sources)))
        rows = sources.to(torch.int64)
    return blocks[::-1], rows
