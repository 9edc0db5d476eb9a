"""The extrapolation paper's graph convolutional network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from graphprune.errors import InputError
from graphprune.extrapolate.base import Inputs
from graphprune.extrapolate.features import node_features
from graphprune.extrapolate.network import Dropout, NetworkExtrapolator, Run
from graphprune.graph.backends import native_bfloat16
from graphprune.graph.propagate import Propagator, gcn_table, locality_order, reorder
from graphprune.registry import register

# From this many samples on, bfloat16 and a cache-friendly order of the samples pay for themselves.
_BFLOAT16_FROM = 1024
_ORDERED_FROM = 8192

Precision = Literal["auto", "float32", "bfloat16"]


@register("extrapolator", "gcn", source="Schmidt et al., arXiv 2506.09010 (2025)", status="confirmed")
@dataclass(kw_only=True, eq=False, repr=False)
class GCN(NetworkExtrapolator):
    r"""Graph convolutions features-512-256-1 over the kNN graph, trained on the seeds.

    .. math:: H^{(l+1)} = \mathrm{dropout}(\mathrm{ReLU}(\tilde A H^{(l)} W^{(l)} + b^{(l)})), \qquad
              \tilde A = D^{-1/2} (A + I) D^{-1/2}, \qquad A_{ij} = e^{-d_{ij} / 2}

    Nodes are all samples, with ``[one-hot label; embedding]``; links run from neighbour to sample.

    Where we differ from the paper: full batches over everything that the seeds' predictions depend on,
    instead of 128 seeds with sampled neighbours. Because :math:`\tilde A X` is computed once, the first layer
    needs no aggregation while training.

    Arguments, training and standard deviation: see `NetworkExtrapolator`; besides

    Args:
        precision: Number format of the layers' products, ``float32``, ``bfloat16`` or ``auto``: bfloat16 from
            1,024 samples on where the hardware multiplies it natively. Weights are always float32.

    Cost: O(steps * N * (k + hidden) * hidden) time, O(N * (features + hidden)) memory.

    Reference: Schmidt et al., arXiv 2506.09010 (2025); Kipf and Welling (2017), arXiv 1609.02907.
    """

    batch_size: int | None = None
    precision: Precision = "auto"

    def _build(self, inputs: Inputs, seed_rows: Tensor) -> tuple[nn.Module, Run]:
        n = inputs.n
        dtype = number_format(self.precision, n)
        order = locality_order(inputs.graph.indices) if n >= _ORDERED_FROM else torch.arange(n)
        place = torch.argsort(order)
        indices, weights = reorder(*gcn_table(inputs.graph.indices, inputs.graph.link_weights()), order)
        x = node_features(inputs, self.features, normalize=self.normalize)[order]
        x = Propagator(indices, weights).forward(x)
        layers = GraphConvolutions((x.shape[1], *self.hidden, 1), self.dropout)
        seeds = place[seed_rows].sort().values
        blocks, sources = receptive_field(indices, weights, seeds, len(self.hidden))
        inner = x[sources].to(dtype)

        def run(rows: Tensor | None) -> Tensor:
            if rows is None:
                step = Propagator(indices, weights)
                outputs: Tensor = layers(x, [step] * len(self.hidden))
                return outputs[place]
            outputs = layers(inner, blocks)
            return outputs[torch.searchsorted(seeds, place[rows])]

        return layers, run


class GraphConvolutions(nn.Module):
    """Layers ``A H W + b`` with ReLU and dropout between; the input is already multiplied by A once."""

    def __init__(self, sizes: Sequence[int], dropout: float) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        shapes = list(pairwise(sizes))
        self.weights = nn.ParameterList([nn.init.xavier_uniform_(torch.empty(shape)) for shape in shapes])
        self.biases = nn.ParameterList([torch.zeros(right) for _, right in shapes])

    def forward(self, x: Tensor, blocks: Sequence[Propagator]) -> Tensor:
        """Outputs ``[n]`` float32 of the last block's targets from ``x [N, F]``, a block per later layer."""
        h: Tensor = x @ self.weights[0].to(x.dtype) + self.biases[0].to(x.dtype)
        for block, weight, bias in zip(blocks, self.weights[1:], self.biases[1:], strict=True):
            h = block(self.dropout(torch.relu(h)) @ weight.to(h.dtype)) + bias.to(h.dtype)
        return h.squeeze(1).to(torch.float32)


def number_format(precision: Precision, n: int) -> torch.dtype:
    """What `GCN`'s ``precision`` means for ``n`` samples on the CPU."""
    if precision not in ("auto", "float32", "bfloat16"):
        raise InputError(f"precision is '{precision}'; use auto, float32 or bfloat16")
    if precision == "auto":
        fast = n >= _BFLOAT16_FROM and native_bfloat16(torch.device("cpu"))
        return torch.bfloat16 if fast else torch.float32
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


def receptive_field(
    indices: Tensor, weights: Tensor, rows: Tensor, hops: int
) -> tuple[list[Propagator], Tensor]:
    """The parts of a table that ``rows`` depend on through ``hops`` products, first product first.

    Returns:
        One propagator per product, and the rows ``[S]`` whose values the first one takes.
    """
    blocks = []
    for _ in range(hops):
        sources, local = torch.unique(indices[rows], return_inverse=True)
        blocks.append(Propagator(local, weights[rows], sources=len(sources)))
        rows = sources.to(torch.int64)
    return blocks[::-1], rows
