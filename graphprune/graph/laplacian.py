"""Symmetric links of a batch or of the whole graph, and their Laplacians."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import normalize

from graphprune.errors import InputError
from graphprune.graph.knn import KNNGraph

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Kind = Literal["unnormalised", "symmetric", "random_walk"]
# Dense weights of a batch, sparse weights, or the shared graph.
Links = "Tensor | csr_array | KNNGraph"


def similarity(features: Tensor) -> Tensor:
    """Cosine similarities of a batch, clipped to 0..1, with zero diagonal.

    Args:
        features: ``[B, D]``, finite. A zero vector is similar to nothing.

    Returns:
        ``[B, B]`` in the dtype of the features, float32 at least; symmetric.

    >>> similarity(torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])).tolist()[0]
    [0.0, 1.0, 0.0, 0.0]
    """
    features = features.to(torch.promote_types(features.dtype, torch.float32))
    if features.dim() != 2 or not bool(features.isfinite().all()):
        shape = list(features.shape)
        raise InputError(
            f"features of shape {shape} must be [B, D] without NaN or infinite values; repair them"
        )
    unit = normalize(features)
    cosines = (unit @ unit.T).clamp_(0, 1)
    # A product's two triangles may differ in the last bit; an eigen-solver reads only one of them.
    lower = cosines.tril(-1)
    return lower + lower.T


def batch_links(graph: KNNGraph, rows: Tensor) -> Tensor:
    """The batch's part of the shared graph: link weights ``[B, B]`` float32 between ``rows [B]``, symmetric.

    A link counts if either end has the other among its neighbours. Cost: O(B k log B + B^2).
    """
    known, place = rows.sort()
    neighbours = graph.indices[rows].long()
    at = torch.searchsorted(known, neighbours).clamp_max(len(rows) - 1)
    inside = (known[at] == neighbours) & graph.distances[rows].isfinite()
    links = torch.zeros(len(rows), len(rows))
    row = torch.arange(len(rows))[:, None].expand_as(at)
    weights = graph.link_weights() if graph.weights is not None else torch.exp(graph.distances[rows] / -2)
    weights = weights[rows] if graph.weights is not None else weights
    links[row[inside], place[at[inside]]] = weights[inside]
    links.fill_diagonal_(0)
    return torch.maximum(links, links.T)


def adjacency(graph: KNNGraph) -> csr_array:
    """Symmetric link weights ``[N, N]`` float64 of the whole graph; either direction counts."""
    one_way = graph.to_csr().astype(np.float64)
    links = one_way.maximum(one_way.T).tocsr()
    links.eliminate_zeros()
    return links


def laplacian(links: Any, kind: Kind = "unnormalised") -> Any:
    r"""Laplacian of symmetric links W with degrees D.

    ``unnormalised``: :math:`D - W`; ``symmetric``: :math:`I - D^{-1/2} W D^{-1/2}`; ``random_walk``:
    :math:`I - D^{-1} W`. The row of an isolated node is zero in all three, so that it counts as a component.

    Args:
        links: ``[B, B]`` tensor, ``[N, N]`` CSR or `KNNGraph`.
        kind: Which one (default: unnormalised).

    Returns:
        A tensor for a tensor, else CSR.

    >>> laplacian(torch.tensor([[0.0, 2.0], [2.0, 0.0]])).tolist()
    [[2.0, -2.0], [-2.0, 2.0]]
    """
    from scipy.sparse import diags_array

    if kind not in ("unnormalised", "symmetric", "random_walk"):
        raise InputError(f"kind is '{kind}'; use 'unnormalised', 'symmetric' or 'random_walk'")
    links = check_links(links)
    dense = isinstance(links, np.ndarray)
    degrees = np.asarray(links.sum(axis=1)).reshape(-1)
    left = right = np.ones_like(degrees)
    if kind == "symmetric":
        left = right = inverse_root(degrees)
    elif kind == "random_walk":
        left = inverse_root(degrees) ** 2
    if dense:
        matrix = -left[:, None] * links * right
        matrix[np.diag_indices_from(matrix)] += left * degrees * right
        return torch.from_numpy(matrix)
    return (diags_array(left * degrees * right) - diags_array(left) @ links @ diags_array(right)).tocsr()


def check_links(links: Any) -> Any:
    """Links as a NumPy array (dense) or float64 CSR, or an `InputError` if they are no symmetric weights."""
    if isinstance(links, KNNGraph):
        return adjacency(links)
    from scipy.sparse import csr_array, issparse

    links = csr_array(links).astype(np.float64) if issparse(links) else torch.as_tensor(links).cpu().numpy()
    values = links.data if issparse(links) else links
    if links.ndim != 2 or links.shape[0] != links.shape[1] or not links.shape[0]:
        raise InputError(f"links have shape {list(links.shape)}; give a square matrix of link weights")
    if not np.isfinite(values).all() or (values < 0).any() or links.diagonal().any():
        raise InputError("links must be finite, not negative and zero on the diagonal; repair them")
    if (links != links.T).sum() if issparse(links) else not np.array_equal(links, links.T):
        raise InputError("links are not symmetric; take the larger of both directions")
    return links


def inverse_root(degrees: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
    """``degrees ** -1/2``, and 0 for isolated nodes."""
    safe = np.where(degrees > 0, degrees, 1)
    return np.where(degrees > 0, safe**-0.5, 0).astype(degrees.dtype)


def components(links: Any) -> npt.NDArray[np.int64]:
    """Connected component of each node ``[N]`` int64: 0 is the largest, ties by the lower row."""
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    links = check_links(links)
    count, labels = connected_components(csr_array(links), directed=False)
    sizes = np.bincount(labels, minlength=count)
    # scipy numbers components by their lowest row, so that a stable sort settles the ties.
    rank = np.empty(count, dtype=np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(count)
    numbered: npt.NDArray[np.int64] = rank[labels]
    return numbered
