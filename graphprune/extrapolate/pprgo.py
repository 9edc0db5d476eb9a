"""PPRGo: a network on each sample's own features, with outputs averaged by personalized PageRank."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from graphprune.extrapolate.base import Inputs
from graphprune.extrapolate.features import node_features
from graphprune.extrapolate.network import NetworkExtrapolator, Run, mlp
from graphprune.graph.knn import KNNGraph
from graphprune.graph.propagate import mean_table
from graphprune.options import Count
from graphprune.registry import register

if TYPE_CHECKING:
    from scipy.sparse import csr_array

_BLOCK = 4096


@register("extrapolator", "pprgo", source="Bojchevski et al., arXiv 2007.01570 (2020)", status="ours")
@dataclass(kw_only=True, eq=False, repr=False)
class PPRGo(NetworkExtrapolator):
    r"""PPRGo: predict by a perceptron on single samples, averaged over those that a random walk visits most.

    .. math:: \hat s_i = \sum_{j \in \mathrm{top}(i)} \pi_{ij} f(x_j)
        \Big/ \sum_{j \in \mathrm{top}(i)} \pi_{ij}

    where :math:`\pi_i` is the personalized PageRank of sample i along its links. graphprune formulation, after
    Bojchevski et al. (2020): on the directed kNN graph with link weights; the weights of the ``top`` samples are
    divided by their sum.

    For the other arguments, the training and the standard deviation, see `NetworkExtrapolator`.

    Args:
        alpha: Probability of returning to the start at each step (default: .5).
        eps: Walks with a probability below ``eps * k`` are not followed (default: 1e-4).
        top: Number of samples averaged over (default: 32).

    Cost: at most O(N / (alpha * eps)) for the PageRank; O(steps * batch_size * top * F) for training.

    >>> import numpy as np
    >>> from graphprune import KNNGraph
    >>> x = torch.arange(20.0)[:, None] / 20
    >>> inputs = Inputs(KNNGraph.build(x, k=2), x)
    >>> seeds = np.arange(0, 20, 2)
    >>> PPRGo(hidden=[8], steps=2).fit(inputs, seeds, x[seeds, 0].numpy()).predict().shape
    (20,)
    """

    alpha: Annotated[float, Field(ge=0.001, le=1)] = 0.5
    eps: Annotated[float, Field(ge=1e-9, le=1)] = 1e-4
    top: Count = 32
    batch_size: Count | None = 128

    def _build(self, inputs: Inputs, seed_rows: Tensor) -> tuple[nn.Module, Run]:
        x = node_features(inputs, self.features, normalize=self.normalize)
        network = mlp((x.shape[1], *self.hidden, 1), self.dropout)
        visited, share = personal_pagerank(inputs.graph, alpha=self.alpha, eps=self.eps, top=self.top)

        def run(rows: Tensor | None) -> Tensor:
            if rows is None:
                alone = torch.cat([network(part) for part in torch.split(x, _BLOCK)]).squeeze(1)
                return (alone[visited] * share).sum(dim=1)
            sources, local = torch.unique(visited[rows], return_inverse=True)
            output: Tensor = network(x[sources]).squeeze(1)
            return (output[local] * share[rows]).sum(dim=1)

        return network, run


def personal_pagerank(graph: KNNGraph, *, alpha: float, eps: float, top: int) -> tuple[Tensor, Tensor]:
    """Finds the ``top`` samples that each sample's random walk visits most, by forward push on all rows at once.

    Every round moves all residual mass above ``eps * k``: the share ``alpha`` of it settles, and the rest follows the
    links.

    Returns:
        Samples ``[N, top]`` int64 and their shares ``[N, top]`` float32, each row summing to 1. Rows with fewer
        samples are padded with the sample itself at share 0.
    """
    from scipy.sparse import csr_array, vstack

    n, k, top = graph.n, graph.k, min(top, graph.n)
    indices, weights = (t.numpy() for t in mean_table(graph.indices, graph.link_weights()))
    start = np.arange(0, n * (k + 1) + 1, k + 1)
    walk = csr_array((weights.reshape(-1).astype(np.float64), indices.reshape(-1), start), shape=(n, n))
    walk.sum_duplicates()
    parts = []
    for first in range(0, n, _BLOCK):
        rows = np.arange(first, min(first + _BLOCK, n))
        push = csr_array((np.ones(len(rows)), rows, np.arange(len(rows) + 1)), shape=(len(rows), n))
        settled = residual = csr_array((len(rows), n))
        while push.nnz:
            settled = settled + alpha * push
            residual = residual + (1 - alpha) * (push @ walk)
            push = residual.copy()
            push.data[push.data <= eps * k] = 0
            push.eliminate_zeros()
            residual = residual - push
        parts.append(_largest(settled, top))
    matrix = vstack(parts).tocsr()
    visited = np.repeat(np.arange(n)[:, None], top, axis=1)
    share = np.zeros((n, top), dtype=np.float64)
    count = np.diff(matrix.indptr)
    row = np.repeat(np.arange(n), count)
    column = np.arange(matrix.nnz) - np.repeat(matrix.indptr[:-1], count)
    visited[row, column], share[row, column] = matrix.indices, matrix.data
    share /= share.sum(axis=1, keepdims=True)
    return torch.from_numpy(visited), torch.from_numpy(share.astype(np.float32))


def _largest(matrix: csr_array, top: int) -> csr_array:
    """Keeps the ``top`` largest entries of each row; on ties, the lower column."""
    from scipy.sparse import csr_array

    count = np.diff(matrix.indptr)
    row = np.repeat(np.arange(matrix.shape[0]), count)
    order = np.lexsort((matrix.indices, -matrix.data, row))
    kept = order[np.arange(matrix.nnz) - np.repeat(matrix.indptr[:-1], count) < top]
    return csr_array((matrix.data[kept], (row[kept], matrix.indices[kept])), shape=matrix.shape)
