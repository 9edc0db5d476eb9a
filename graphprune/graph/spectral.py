"""Eigenvectors of graph Laplacians: exact in what they mean, also where the graph is disconnected."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from graphprune.errors import InputError
from graphprune.graph.eigen import DENSE, Array, lowest, second, smallest
from graphprune.graph.laplacian import Kind, check_links, components, inverse_root

# In larger graphs an eigenvalue of higher multiplicity than this is not followed to its end.
_MULTIPLE = 1_024
# Weight of the links that join components, relative to the mean link.
_WEAK = 1e-3


class Fiedler(NamedTuple):
    """A Fiedler vector and what it is worth.

    Attributes:
        vector: ``[n]`` in the dtype of the links, of length 1 (0 where nothing is to be divided).
        value: The second smallest eigenvalue (algebraic connectivity); 0 for a disconnected graph.
        components: Connected component of each node ``[n]`` int64, 0 the largest.
        unique: Whether the eigenvalue is simple (within each component), so that the data alone determine the
            vector up to its sign.
    """

    vector: Tensor
    value: float
    components: Tensor
    unique: bool


def fiedler_vector(
    links: Any,
    *,
    kind: Kind = "unnormalised",
    disconnected: Literal["per_component", "weak_links"] = "per_component",
) -> Fiedler:
    r"""Eigenvector of the second smallest eigenvalue of a graph's Laplacian.

    A disconnected graph has no such vector: its second eigenvalue is 0 and any mixture of the components'
    indicators belongs to it. Then, by ``disconnected``,

    - ``per_component``: every component gets its own Fiedler vector, scaled by ``sqrt(size / n)`` so that
      entries are of like size everywhere; isolated nodes get 0;
    - ``weak_links``: the node of highest degree in each component is linked to that of the largest one, with
      1/1000 of the mean link weight, and the joined graph's vector is taken.

    The sign makes the entry of largest magnitude positive. If the eigenvalue is multiple (constant
    embeddings, symmetric graphs), the vector is the projection onto the eigenspace of the lowest node that has
    a share in it: it does not depend on the solver's arbitrary basis.

    Args:
        links: Symmetric weights ``[B, B]`` tensor or ``[N, N]`` CSR, or a `KNNGraph` (link weights, either
            direction counting). One node gives the vector ``[0]``.
        kind: ``unnormalised``, ``symmetric`` or ``random_walk`` (default: unnormalised).
        disconnected: See above (default: per_component).

    Raises:
        InputError: links are not square, symmetric, finite and non-negative.

    Cost: up to 256 nodes dense, O(n^3); beyond, Lanczos iterations on ``c I - L`` (L's small eigenvalues are
    its large ones, so nothing is factorized), O(links) each. Graphs whose links form a narrow band, such as
    chains, rings and grids, are factorized; others without convergence are solved densely up to 4,096 nodes.
    """
    if kind not in ("unnormalised", "symmetric", "random_walk"):
        raise InputError(f"kind is '{kind}'; use 'unnormalised', 'symmetric' or 'random_walk'")
    if disconnected not in ("per_component", "weak_links"):
        raise InputError(f"disconnected is '{disconnected}'; use 'per_component' or 'weak_links'")
    links = check_links(links)
    n = links.shape[0]
    degrees = np.asarray(links.sum(axis=1)).reshape(-1)
    if 1 < n <= DENSE and isinstance(links, np.ndarray) and (degrees > 0).all():
        found = _connected_fiedler(links, kind)
        # A positive second eigenvalue proves that the graph is connected, without a search.
        if found.value > _tolerance(links, kind):
            return found
    label = components(links)
    if not label.any():
        return _connected_fiedler(links, kind)
    if disconnected == "weak_links":
        joined = _connected_fiedler(_with_weak_links(links, label, degrees), kind)
        return joined._replace(components=torch.from_numpy(label))
    vector = np.zeros(n, dtype=links.dtype)
    unique = True
    for rows in _members(label):
        if len(rows) > 1:
            part = _connected_fiedler(links[rows][:, rows], kind)
            vector[rows] = part.vector.numpy() * np.sqrt(len(rows) / n)
            unique = unique and part.unique
    return Fiedler(torch.from_numpy(_signed(vector)), 0.0, torch.from_numpy(label), unique)


def eigenvectors(links: Any, count: int, *, kind: Kind = "symmetric") -> tuple[Tensor, Tensor]:
    """The ``count`` smallest eigenvalues of a Laplacian, ascending, and their eigenvectors.

    Components are solved one by one: their eigenpairs together are exactly those of the whole graph, and the
    eigenvectors of eigenvalue 0 are the components' indicators, the largest component first.

    Args:
        links: As for `fiedler_vector`.
        count: Eigenpairs, 1 to n.
        kind: ``unnormalised``, ``symmetric`` or ``random_walk`` (default: symmetric).

    Returns:
        Values ``[count]`` float64 and vectors ``[n, count]`` of length 1, the largest entry positive.

    Cost: as for `fiedler_vector`, times about ``count``.
    """
    links = check_links(links)
    n = links.shape[0]
    if not 1 <= count <= n:
        raise InputError(f"count is {count} eigenvectors of {n} nodes; use 1 to {n}")
    groups = _members(components(links))
    found: list[tuple[float, int, Array]] = []
    for part, rows in enumerate(groups):
        values, vectors, _ = smallest(links[rows][:, rows], min(count, len(rows)), kind)
        found += [(value, part, vectors[:, i]) for i, value in enumerate(values.tolist())]
    found.sort(key=lambda pair: (pair[0], pair[1]))
    vectors = np.zeros((n, count), dtype=links.dtype)
    for column, (_, part, entries) in enumerate(found[:count]):
        vectors[groups[part], column] = _signed(entries)
    return torch.tensor([value for value, _, _ in found[:count]], dtype=torch.float64), torch.from_numpy(
        vectors
    )


def _connected_fiedler(links: Any, kind: Kind) -> Fiedler:
    n = links.shape[0]
    alone = torch.zeros(n, dtype=torch.int64)
    if n == 1:
        return Fiedler(torch.from_numpy(np.zeros(1, dtype=links.dtype)), 0.0, alone, True)
    # The random walk's eigenvectors are those of the symmetric Laplacian, scaled.
    base: Kind = "symmetric" if kind == "random_walk" else kind
    tolerance = _tolerance(links, base)
    found = second(links, base, tolerance) if n > DENSE else None
    value, vector, unique = found or _by_basis(links, base, tolerance)
    if kind == "random_walk":
        vector = vector * inverse_root(np.asarray(links.sum(axis=1)).reshape(-1))
        vector /= np.linalg.norm(vector)
    return Fiedler(torch.from_numpy(_signed(vector)), value, alone, unique)


def _by_basis(links: Any, kind: Kind, tolerance: float) -> tuple[float, Array, bool]:
    """As `second`, from a basis of the whole eigenspace."""
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


def _with_weak_links(links: Any, label: npt.NDArray[np.int64], degrees: Array) -> Any:
    from scipy.sparse import csr_array

    hubs = np.array([rows[np.argmax(degrees[rows])] for rows in _members(label)])
    values = links if isinstance(links, np.ndarray) else links.data
    mean = float(values[values > 0].mean()) if (values > 0).any() else 1.0
    row, column = np.full(len(hubs) - 1, hubs[0]), hubs[1:]
    both = (np.concatenate([row, column]), np.concatenate([column, row]))
    weak = csr_array((np.full(2 * len(row), _WEAK * mean), both), shape=links.shape)
    if isinstance(links, np.ndarray):
        return (links + weak.toarray()).astype(links.dtype)
    return (links + weak).tocsr()


def _members(label: npt.NDArray[np.int64]) -> list[npt.NDArray[np.int64]]:
    return np.split(np.argsort(label, kind="stable"), np.cumsum(np.bincount(label))[:-1])


def _tolerance(links: Any, kind: Kind) -> float:
    """Eigenvalues closer than this are equal for all that the precision can tell."""
    relative = 1e-10 if links.dtype == np.float64 else 1e-5
    norm = 2.0 if kind != "unnormalised" else 2 * float(links.sum(axis=1).max())
    return relative * norm


def _signed(vector: Array) -> Array:
    """The vector or its negative: the first of its entries of largest magnitude is positive."""
    size = np.abs(vector)
    leading = vector[np.argmax(size >= size.max() * (1 - 1e-6))]
    return -vector if leading < 0 else vector
