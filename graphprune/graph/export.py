"""Conversions between the neighbor table and the graphs of other libraries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch

from graphprune.errors import InputError
from graphprune.graph.points import Array, Metric, as_tensor

if TYPE_CHECKING:
    import networkx
    from scipy.sparse import csr_array
    from torch_geometric.data import Data

    from graphprune.graph.knn import KNNGraph


def to_csr(graph: KNNGraph, values: Literal["distance", "weight"]) -> csr_array:
    """CSR ``[N, N]`` without the padding; links of distance 0 are stored zeros."""
    from scipy.sparse import csr_array

    real = graph.distances.isfinite()
    chosen = graph.distances if values == "distance" else graph.link_weights()
    start = np.concatenate([[0], np.cumsum(real.sum(dim=1).numpy())])
    matrix = csr_array((chosen[real].numpy(), graph.indices[real].numpy(), start), shape=(graph.n, graph.n))
    matrix.sort_indices()
    return matrix


def to_pyg(graph: KNNGraph) -> Data:
    """``Data`` whose ``edge_index`` rows are neighbors and samples; messages flow from neighbor to sample."""
    from torch_geometric.data import Data

    real = graph.distances.isfinite()
    target, _ = real.nonzero(as_tuple=True)
    x = None if graph.embeddings is None else as_tensor(graph.embeddings)
    edges = torch.stack([graph.indices[real].to(torch.int64), target])
    return Data(x=x, edge_index=edges, edge_weight=graph.link_weights()[real], num_nodes=graph.n)


def to_networkx(graph: KNNGraph) -> networkx.DiGraph:
    """Directed graph with one edge per link, from the neighbor to the sample."""
    import networkx

    real = graph.distances.isfinite()
    target, _ = real.nonzero(as_tuple=True)
    columns = (graph.indices[real], target, graph.distances[real], graph.link_weights()[real])
    made = networkx.DiGraph()
    made.add_nodes_from(range(graph.n))
    for source, sample, distance, weight in zip(*(column.tolist() for column in columns), strict=True):
        made.add_edge(source, sample, distance=distance, weight=weight)
    return made


def from_csr(matrix: Any, metric: Metric, embeddings: Array | None) -> KNNGraph:
    """Graph of a sparse ``[N, N]`` matrix of distances; the diagonal is dropped and short rows are padded.

    Links are sorted by distance, ties by the lower neighbor.
    """
    from scipy.sparse import csr_array

    from graphprune.graph.knn import KNNGraph

    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.nnz:
        raise InputError(
            f"the matrix is {list(matrix.shape)} with {matrix.nnz} links; pass a square matrix with links"
        )
    matrix = csr_array(matrix)
    n = matrix.shape[0]
    row = np.repeat(np.arange(n), np.diff(matrix.indptr))
    keep = row != matrix.indices
    row, column, distance = row[keep], matrix.indices[keep], matrix.data[keep]
    order = np.lexsort((column, distance, row))
    row, column, distance = row[order], column[order], distance[order]
    degree = np.bincount(row, minlength=n)
    rank = np.arange(len(row)) - np.repeat(np.cumsum(degree) - degree, degree)
    width = max(1, int(degree.max(initial=0)))
    dtype = np.int32 if n < 2**31 else np.int64
    indices = np.repeat(np.arange(n, dtype=dtype)[:, None], width, axis=1)
    distances = np.full((n, width), np.inf, dtype=np.float32)
    indices[row, rank], distances[row, rank] = column, distance
    return KNNGraph(torch.from_numpy(indices), torch.from_numpy(distances), metric, embeddings)
