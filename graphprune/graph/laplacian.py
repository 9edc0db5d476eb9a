"""Symmetric link weights of a batch or of the whole graph, and their Laplacians."""

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

Kind = Literal["unnormalised", "symmetric"]


def similarity(features: Tensor) -> Tensor:
    """Cosine similarities of a batch, clipped to 0..1, with a zero diagonal.

    Args:
        features: ``[B, D]``, finite. A zero vector has similarity 0 to all others.

    Returns:
        ``[B, B]`` in the dtype of the features, at least float32; symmetric.

    >>> similarity(torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0], [-1.0, 0.0]])).tolist()[0]
    [0.0, 1.0, 0.0, 0.0]
    """
    features = features.to(torch.promote_types(features.dtype, torch.float32))
    if features.dim() != 2 or not bool(features.isfinite().all()):
        shape = list(features.shape)
        raise InputError(
            f"features of shape {shape} must be [B, D] without NaN or infinite values; repair the features"
        )
    unit = normalize(features)
    cosines = (unit @ unit.T).clamp_(0, 1)
    # The product's two triangles may differ in the last bit, and an eigensolver reads only one of them.
    lower = cosines.tril(-1)
    return lower + lower.T


def batch_links(graph: KNNGraph, rows: Tensor) -> Tensor:
    """Link weights ``[B, B]`` float32 of the shared graph between ``rows [B]``, symmetric.

    Two samples are linked if either has the other among its neighbors. Cost: O(B k log B + B^2).
    """
    known, place = rows.sort()
    neighbors = graph.indices[rows].long()
    at = torch.searchsorted(known, neighbors).clamp_max(len(rows) - 1)
    inside = (known[at] == neighbors) & graph.distances[rows].isfinite()
    links = torch.zeros(len(rows), len(rows))
    row = torch.arange(len(rows))[:, None].expand_as(at)
    weights = graph.link_weights() if graph.weights is not None else torch.exp(graph.distances[rows] / -2)
    weights = weights[rows] if graph.weights is not None else weights
    links[row[inside], place[at[inside]]] = weights[inside]
    links.fill_diagonal_(0)
    return torch.maximum(links, links.T)


def adjacency(graph: KNNGraph) -> csr_array:
    """Symmetric link weights ``[N, N]`` float64 of the whole graph: the larger of both directions."""
    one_way = graph.to_csr().astype(np.float64)
    links = one_way.maximum(one_way.T).tocsr()
    links.eliminate_zeros()
    return links


def laplacian(links: Any, kind: Kind = "unnormalised") -> Any:
    r"""Laplacian of symmetric links W with degrees D.

    ``unnormalised``: :math:`D - W`; ``symmetric``: :math:`I - D^{-1/2} W D^{-1/2}`. The row of an isolated node is
    zero in both, so that it counts as a component.

    Args:
        links: ``[B, B]`` tensor, ``[N, N]`` CSR or `KNNGraph`.
        kind: ``unnormalised`` or ``symmetric`` (default: unnormalised).

    Returns:
        A tensor for a tensor, otherwise CSR.

    >>> laplacian(torch.tensor([[0.0, 2.0], [2.0, 0.0]])).tolist()
    [[2.0, -2.0], [-2.0, 2.0]]
    """
    from scipy.sparse import diags_array

    check_kind(kind)
    links = check_links(links)
    dense = isinstance(links, np.ndarray)
    degrees = np.asarray(links.sum(axis=1)).reshape(-1)
    scale = inverse_root(degrees) if kind == "symmetric" else np.ones_like(degrees)
    if dense:
        matrix = -scale[:, None] * links * scale
        matrix[np.diag_indices_from(matrix)] += scale * degrees * scale
        return torch.from_numpy(matrix)
    return (diags_array(scale * degrees * scale) - diags_array(scale) @ links @ diags_array(scale)).tocsr()


def check_kind(kind: str) -> None:
    """Rejects an unknown kind of Laplacian."""
    if kind not in ("unnormalised", "symmetric"):
        raise InputError(f"kind is '{kind}'; use 'unnormalised' or 'symmetric'")


def check_links(links: Any) -> Any:
    """Links as `as_arrays` returns them.

    Raises:
        InputError: they are not square, symmetric, finite and non-negative with a zero diagonal.
    """
    from scipy.sparse import issparse

    built = isinstance(links, KNNGraph)
    links = as_arrays(links)
    if built:
        return links
    values = links.data if issparse(links) else links
    if links.ndim != 2 or links.shape[0] != links.shape[1] or not links.shape[0]:
        raise InputError(f"links have shape {list(links.shape)}; pass a square matrix of link weights")
    if not np.isfinite(values).all() or (values < 0).any() or links.diagonal().any():
        raise InputError("links must be finite, not negative and zero on the diagonal; repair the matrix")
    if (links != links.T).sum() if issparse(links) else not np.array_equal(links, links.T):
        raise InputError("links are not symmetric; use the larger of both directions")
    return links


def as_arrays(links: Any) -> Any:
    """Links as a NumPy array (from a tensor) or float64 CSR (from a sparse matrix or a `KNNGraph`)."""
    from scipy.sparse import csr_array, issparse

    if isinstance(links, KNNGraph):
        return adjacency(links)
    return csr_array(links).astype(np.float64) if issparse(links) else torch.as_tensor(links).cpu().numpy()


def inverse_root(degrees: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.floating[Any]]:
    """``degrees ** -1/2``, and 0 for isolated nodes."""
    safe = np.where(degrees > 0, degrees, 1)
    return np.where(degrees > 0, safe**-0.5, 0).astype(degrees.dtype)


def components(links: Any) -> npt.NDArray[np.int64]:
    """Connected component of each node ``[N]`` int64: 0 is the largest, ties by the lower row.

    Args:
        links: As for `fiedler_vector`, but not validated.
    """
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import connected_components

    count, labels = connected_components(csr_array(as_arrays(links)), directed=False)
    sizes = np.bincount(labels, minlength=count)
    # SciPy numbers components by their lowest row, so a stable sort breaks ties by the lower row.
    rank = np.empty(count, dtype=np.int64)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(count)
    numbered: npt.NDArray[np.int64] = rank[labels]
    return numbered
