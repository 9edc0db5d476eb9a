"""Fiedler vectors of graphs, well defined also for disconnected graphs and multiple eigenvalues."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from graphprune.graph.eigen import DENSE, Array, lowest, second, smallest
from graphprune.graph.laplacian import Kind, as_arrays, check_kind, check_links, components

# In larger graphs, at most this many eigenvectors of a multiple eigenvalue are computed.
_MULTIPLE = 1_024


class Fiedler(NamedTuple):
    """A Fiedler vector and how well it is determined.

    Attributes:
        vector: ``[n]`` in the dtype of the links, of length 1 (0 for isolated nodes).
        value: The second smallest eigenvalue (algebraic connectivity); 0 for a disconnected graph.
        components: Connected component of each node ``[n]`` int64, 0 the largest.
        unique: Whether the eigenvalue is simple (within each component), so that the graph determines the vector
            up to its sign.
    """

    vector: Tensor
    value: float
    components: Tensor
    unique: bool


def fiedler_vector(
    links: Any,
    *,
    kind: Kind = "unnormalised",
    checked: bool = False,
) -> Fiedler:
    r"""Eigenvector of the second smallest eigenvalue of a graph's Laplacian.

    The second eigenvalue of a disconnected graph is 0, and every mixture of the components' indicators belongs to
    it. Then each component gets its own Fiedler vector, scaled by ``sqrt(size / n)`` so that entries have
    comparable magnitudes; isolated nodes get 0.

    The sign makes the entry of largest magnitude positive. If the eigenvalue is multiple (constant
    embeddings, symmetric graphs), the vector is the projection of one node's indicator onto the eigenspace: that
    of the first node whose projection is not 0. So it does not depend on the solver's arbitrary basis.

    Args:
        links: Symmetric weights, a ``[B, B]`` tensor or ``[N, N]`` CSR, or a `KNNGraph` (the larger link weight of
            both directions). A single node has the vector ``[0]``.
        kind: ``unnormalised`` or ``symmetric`` (default: unnormalised).
        checked: Whether the links are known to be valid, as those of `similarity` are; then they are not validated
            again (default: False).

    Raises:
        InputError: links are not square, symmetric, finite and non-negative with a zero diagonal.

    Cost: O(n^3), dense, up to 256 nodes; above that, Lanczos iterations on ``c I - L``, O(links) each (the small
    eigenvalues of L are its large ones, so nothing is factorized). Graphs whose links form a narrow band, such as
    chains, rings and grids, are factorized; if iterations do not converge, a dense solver is used up to 4,096 nodes.

    >>> chain = torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    >>> [round(x, 3) + 0.0 for x in fiedler_vector(chain).vector.tolist()]
    [0.707, 0.0, -0.707]
    """
    check_kind(kind)
    links = as_arrays(links) if checked else check_links(links)
    n = links.shape[0]
    degrees = np.asarray(links.sum(axis=1)).reshape(-1)
    if 1 < n <= DENSE and isinstance(links, np.ndarray) and (degrees > 0).all():
        found = _connected_fiedler(links, kind)
        # A positive second eigenvalue proves that the graph is connected, which saves the search for components.
        if found.value > _tolerance(links, kind):
            return found
    label = components(links)
    if not label.any():
        return _connected_fiedler(links, kind)
    vector = np.zeros(n, dtype=links.dtype)
    unique = True
    for rows in _members(label):
        if len(rows) > 1:
            part = _connected_fiedler(links[rows][:, rows], kind)
            vector[rows] = part.vector.numpy() * np.sqrt(len(rows) / n)
            unique = unique and part.unique
    return Fiedler(torch.from_numpy(_signed(vector)), 0.0, torch.from_numpy(label), unique)


def _connected_fiedler(links: Any, kind: Kind) -> Fiedler:
    n = links.shape[0]
    alone = torch.zeros(n, dtype=torch.int64)
    if n == 1:
        return Fiedler(torch.from_numpy(np.zeros(1, dtype=links.dtype)), 0.0, alone, True)
    tolerance = _tolerance(links, kind)
    found = second(links, kind, tolerance) if n > DENSE else None
    value, vector, unique = found or _by_basis(links, kind, tolerance)
    return Fiedler(torch.from_numpy(_signed(vector)), value, alone, unique)


def _by_basis(links: Any, kind: Kind, tolerance: float) -> tuple[float, Array, bool]:
    """The result of `second`, computed from a basis of the whole eigenspace."""
    n, count = links.shape[0], 2
    values, vectors, following = smallest(links, count, kind)
    while following - values[1] <= tolerance and count < min(n, _MULTIPLE):
        count = n if n <= _MULTIPLE else min(4 * count, _MULTIPLE)
        values, vectors, following = smallest(links, count, kind)
    space = vectors[:, 1:][:, values[1:] - values[1] <= tolerance]
    value = float(max(values[1], 0))
    if space.shape[1] == 1:
        return value, space[:, 0], True
    basis, _ = np.linalg.qr(space)
    vector: Array = basis @ basis[lowest(np.linalg.norm(basis, axis=1))]
    return value, vector / np.linalg.norm(vector), False


def _members(label: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    """The rows of each component."""
    return np.split(np.argsort(label, kind="stable"), np.cumsum(np.bincount(label))[:-1])


def _tolerance(links: Any, kind: Kind) -> float:
    """Eigenvalues closer than this are equal within the precision of the links."""
    relative = 1e-10 if links.dtype == np.float64 else 1e-5
    norm = 2.0 if kind != "unnormalised" else 2 * float(links.sum(axis=1).max())
    return relative * norm


def _signed(vector: Array) -> Array:
    """The vector or its negative, so that the first entry of largest magnitude is positive."""
    size = np.abs(vector)
    leading = vector[np.argmax(size >= size.max() * (1 - 1e-6))]
    return -vector if leading < 0 else vector
