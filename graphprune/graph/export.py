"""The neighbour table in other libraries' forms, and back."""

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
    """CSR ``[N, N]`` without the padding; links of distance 0 stay as stored zeros."""
    from scipy.sparse import csr_array

    real = graph.distances.isfinite()
    chosen = graph.distances if values == "distance" else graph.link_weights()
    start = np.concatenate([[0], np.cumsum(real.sum(dim=1).numpy())])
    matrix = csr_array((chosen[real].numpy(), graph.indices[real].numpy(), start), shape=(graph.n, graph.n))
    matrix.sort_indices()
    return matrix


def to_pyg(graph: KNNGraph) -> Data:
    """``Data`` whose ``edge_index`` rows are neighbours and samples; messages flow as in the table."""
    from torch_geometric.data import Data

    real = graph.distances.isfinite()
    target, _ = real.nonzero(as_tuple=True)
    x = None if graph.embeddings is None else as_tensor(graph.embeddings)
    edges = torch.stack([graph.indices[real].to(torch.int64), target])
    return Data(x=x, edge_index=edges, edge_weight=graph.link_weights()[real], num_nodes=graph.n)


def to_networkx(graph: KNNGraph) -> networkx.DiGraph:
    """Directed graph with one edge per link, from the neighbour to the sample."""
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
    """Table from a sparse ``[N, N]`` matrix of distances; the diagonal is dropped, short rows are padded."""
    from scipy.sparse import csr_array

    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or not matrix.nnz:
        raise InputError(
            f"the matrix is {list(matrix.shape)} with {matrix.nnz} links; give a square one with links"
        )
    matrix = csr_array(matrix)
    row = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    keep = row != matrix.indices
    return _table(row[keep], matrix.indices[keep], matrix.data[keep], matrix.shape[0], metric, embeddings)


def symmetrize(graph: KNNGraph, how: Literal["union", "mutual"], max_degree: int | None) -> KNNGraph:
    """Undirected links; where the two directions differ in distance, the smaller counts."""
    if how not in ("union", "mutual"):
        raise InputError(f"how is '{how}'; use 'union' or 'mutual'")
    real = graph.distances.isfinite()
    row = real.nonzero(as_tuple=True)[0].numpy()
    column = graph.indices[real].numpy().astype(np.int64)
    distance, weight = graph.distances[real].numpy(), graph.link_weights()[real].numpy()
    row, column = np.concatenate([row, column]), np.concatenate([column, row])
    distance, weight = np.concatenate([distance, distance]), np.concatenate([weight, weight])
    order = np.lexsort((distance, column, row))
    row, column, distance, weight = row[order], column[order], distance[order], weight[order]
    again = np.zeros(len(row), dtype=bool)
    again[1:] = (row[1:] == row[:-1]) & (column[1:] == column[:-1])
    keep = ~again
    if how == "mutual":
        keep[:-1] &= again[1:]
        keep[-1:] = False
    weights = None if graph.weights is None else weight[keep]
    return _table(
        row[keep],
        column[keep],
        distance[keep],
        graph.n,
        graph.metric,
        graph.embeddings,
        weights,
        max_degree,
        graph.recall,
    )


def _table(
    row: Any,
    column: Any,
    distance: Any,
    n: int,
    metric: Metric,
    embeddings: Array | None,
    weight: Any = None,
    max_degree: int | None = None,
    recall: float = 1.0,
) -> KNNGraph:
    """Links sorted by distance, ties by the lower neighbour, into a padded table."""
    from graphprune.graph.knn import KNNGraph

    order = np.lexsort((column, distance, row))
    row, column, distance = row[order], column[order], distance[order]
    degree = np.bincount(row, minlength=n)
    rank = np.arange(len(row)) - np.repeat(np.cumsum(degree) - degree, degree)
    width = max(1, int(degree.max(initial=0)))
    width = width if max_degree is None else min(width, max_degree)
    kept = rank < width
    at = row[kept], rank[kept]
    kind = np.int32 if n < 2**31 else np.int64
    indices = np.repeat(np.arange(n, dtype=kind)[:, None], width, axis=1)
    distances = np.full((n, width), np.inf, dtype=np.float32)
    indices[at], distances[at] = column[kept], distance[kept]
    weights = None
    if weight is not None:
        weights = np.zeros((n, width), dtype=np.float32)
        weights[at] = weight[order][kept]
    return KNNGraph(
        torch.from_numpy(indices),
        torch.from_numpy(distances),
        metric,
        embeddings,
        None if weights is None else torch.from_numpy(weights),
        recall,
    )
