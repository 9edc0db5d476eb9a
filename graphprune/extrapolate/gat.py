"""GAT: graph attention, which weights neighbors by their features and those of the sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from graphprune.extrapolate.base import Inputs
from graphprune.extrapolate.features import node_features
from graphprune.extrapolate.network import Dropout, NetworkExtrapolator, Run
from graphprune.options import Count, Depth, Width
from graphprune.registry import register


@register("extrapolator", "gat", source="Brody et al., arXiv 2105.14491 (2021)", status="ours")
@dataclass(kw_only=True, eq=False, repr=False)
class GAT(NetworkExtrapolator):
    """GAT: predict by graph attention over the kNN graph with self loops, trained on the seeds.

    The layers are PyTorch Geometric's ``GATv2Conv``. Every step uses ``batch_size`` seeds and all samples that their
    predictions depend on, without sampling.

    For the other arguments, the training and the standard deviation, see `NetworkExtrapolator`.

    Args:
        hidden: Features per head of each hidden layer (default: one layer of 64).
        heads: Attention heads of the hidden layers (default: 2).

    Cost: O(steps * batch_size * k^layers * heads * hidden) time and memory.

    Reference: Brody et al., arXiv 2105.14491 (2021).

    >>> import numpy as np
    >>> from graphprune import KNNGraph
    >>> x = torch.arange(20.0)[:, None] / 20
    >>> inputs = Inputs(KNNGraph.build(x, k=2), x)
    >>> seeds = np.arange(0, 20, 2)
    >>> GAT(hidden=[4], steps=2).fit(inputs, seeds, x[seeds, 0].numpy()).predict().shape
    (20,)
    """

    hidden: Sequence[Width] = (64,)
    heads: Depth = 2
    batch_size: Count | None = 256
    steps: Count = 300

    def _build(self, inputs: Inputs, seed_rows: Tensor) -> tuple[nn.Module, Run]:
        x = node_features(inputs, self.features, normalize=self.normalize)
        network = AttentionLayers(x.shape[1], self.hidden, self.heads, self.dropout)
        graph, layers = inputs.graph, len(self.hidden) + 1
        own = torch.arange(inputs.n)[:, None]
        table = torch.cat([own, graph.indices.to(torch.int64)], dim=1)
        linked = torch.cat([torch.ones(inputs.n, 1, dtype=torch.bool), graph.distances.isfinite()], dim=1)

        def run(rows: Tensor | None) -> Tensor:
            parts = torch.split(torch.arange(inputs.n), 2048) if rows is None else [rows]
            outputs = []
            for part in parts:
                edges, sources = edge_blocks(table, linked, part, layers)
                outputs.append(network(x[sources], edges))
            return torch.cat(outputs)

        return network, run


class AttentionLayers(nn.Module):
    """``GATv2Conv`` layers with ReLU and dropout between them, from the sources of a block to its targets."""

    def __init__(self, width: int, hidden: Sequence[int], heads: int, dropout: float) -> None:
        from torch_geometric.nn import GATv2Conv

        super().__init__()
        layers = []
        for size in hidden:
            layers.append(GATv2Conv(width, size, heads=heads, add_self_loops=False))
            width = size * heads
        self.layers = nn.ModuleList([*layers, GATv2Conv(width, 1, add_self_loops=False)])
        self.dropout = Dropout(dropout)

    def forward(self, h: Tensor, blocks: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Computes outputs ``[B]`` of the last block's targets from ``h [S, F]``, with one block per layer."""
        for depth, (layer, (targets, edges)) in enumerate(zip(self.layers, blocks, strict=True)):
            if depth:
                h = self.dropout(torch.relu(h))
            h = layer((h, h[targets]), edges)
        return h.squeeze(1)


def edge_blocks(
    table: Tensor, linked: Tensor, rows: Tensor, layers: int
) -> tuple[list[tuple[Tensor, Tensor]], Tensor]:
    """Finds the samples and edges that the outputs of ``rows`` depend on, first layer first.

    Returns:
        For each layer, the positions of its targets among its sources and its edges ``[2, L]`` as positions; and the
        rows ``[S]`` whose features enter the first layer.
    """
    blocks = []
    for _ in range(layers):
        sources, local = torch.unique(table[rows], return_inverse=True)
        target, column = linked[rows].nonzero(as_tuple=True)
        blocks.append((local[:, 0], torch.stack([local[target, column], target])))
        rows = sources
    return blocks[::-1], rows
