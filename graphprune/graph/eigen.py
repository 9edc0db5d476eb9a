"""Smallest eigenpairs of one connected graph's Laplacian, by the fastest solver that can be relied on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from graphprune.errors import InputError
from graphprune.graph.laplacian import Kind, inverse_root

Array = npt.NDArray[np.floating[Any]]

# Up to this many nodes a dense solver is faster than Lanczos iterations.
DENSE = 256
# Where Lanczos does not converge, a dense solver still does within seconds up to this size.
_DENSE_FALLBACK = 4_096
# A graph is thin if it is so many times longer than its band is wide, and the band factorises in a second.
_THIN, _BAND_WORK = 50, 1e9


def smallest(links: Any, count: int, kind: Kind) -> tuple[Array, Array, float]:
    """The ``count`` smallest eigenvalues ``[count]``, vectors ``[n, count]``, and the next eigenvalue.

    A multiple eigenvalue is found as often as it is there: one Lanczos run sees only one of its vectors, so
    the rest of the space is searched until nothing smaller is left. The next value (inf if there is
    none) tells whether the last one is simple; unless it is close, it is known to three digits only.

    Args:
        links: Symmetric weights of one component, ``[n, n]`` array or CSR.
        count: Eigenpairs, 1 to n.
        kind: Of the Laplacian.
    """
    n = links.shape[0]
    degrees = np.asarray(links.sum(axis=1)).reshape(-1)
    scale = np.ones_like(degrees) if kind == "unnormalised" else inverse_root(degrees)
    with _one_thread():
        if n <= DENSE or count > n // 4:
            values, vectors, following = _dense(links, scale, count)
        else:
            values, vectors, following = _sparse(links, scale, count)
    if kind == "random_walk":
        vectors = vectors * scale[:, None]
        vectors = vectors / np.linalg.norm(vectors, axis=0)
    return values, vectors.astype(links.dtype), following


@contextmanager
def _one_thread() -> Iterator[None]:
    """BLAS threads make these small products slower, and on a busy machine a hundred times so."""
    with _controller().limit(limits=1, user_api="blas"):
        yield


@cache
def _controller() -> Any:
    import scipy.linalg  # noqa: F401  (loads the BLAS that is to be limited)
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


def _dense(links: Any, scale: Array, count: int) -> tuple[Array, Array, float]:
    from scipy.linalg import eigh

    dense = links if isinstance(links, np.ndarray) else links.toarray()
    matrix = -scale[:, None] * dense * scale
    matrix[np.diag_indices_from(matrix)] += dense.sum(axis=1) * scale**2
    last = min(count, len(dense) - 1)
    values, vectors = eigh(matrix, subset_by_index=[0, last], check_finite=False, overwrite_a=True)
    return values[:count], vectors[:, :count], float(values[count]) if last == count else np.inf


def _sparse(links: Any, scale: Array, count: int) -> tuple[Array, Array, float]:
    """Lanczos iterations on ``c I - L``, or on the inverse where the graph is thin."""
    from scipy.sparse import csr_array, diags_array
    from scipy.sparse.linalg import ArpackNoConvergence

    dense = isinstance(links, np.ndarray)
    links, scale = csr_array(links).astype(np.float64), scale.astype(np.float64)
    weights = diags_array(scale) @ links @ diags_array(scale)
    diagonal = links.sum(axis=1) * scale**2
    top, first = 2 * float(diagonal.max()), 1 / scale
    order = None if dense else _thin_band(links)
    if order is not None:
        matrix = (diags_array(diagonal) - weights).tocsr()[order][:, order]
        sigma = 1e-9 * top
        values, vectors, following = _largest(_inverse(matrix, sigma), first[order], count)
        back = np.empty_like(vectors)
        back[order] = vectors
        return np.concatenate([[0], 1 / values[1:] - sigma]), back, 1 / following - sigma
    flipped = (diags_array(top - diagonal) + weights).tocsr()
    product = flipped.toarray().__matmul__ if dense else flipped.__matmul__
    try:
        values, vectors, following = _largest(product, first, count)
    except ArpackNoConvergence as error:
        n = len(first)
        if n > _DENSE_FALLBACK:
            raise InputError(
                f"the eigenvectors of this graph of {n} nodes do not converge; build it with more neighbours"
            ) from error
        return _dense(links, scale, count)
    return np.concatenate([[0], top - values[1:]]), vectors, top - following


def _largest(product: Callable[[Array], Array], first: Array, count: int) -> tuple[Array, Array, float]:
    """Largest eigenpairs of a positive operator whose first one is known, and the value that follows them."""
    from scipy.sparse.linalg import LinearOperator, eigsh

    n = len(first)
    draws = np.random.default_rng(0)
    basis = (first / np.linalg.norm(first))[:, None]
    values = np.array([np.inf])

    def apart(x: Array) -> Array:
        rest: Array = x - basis @ (basis.T @ x)
        return rest

    def search(wanted: int, tolerance: float, start: Array) -> tuple[Array, Array]:
        rest = LinearOperator((n, n), matvec=lambda x: apart(product(x.reshape(-1))), dtype=np.float64)
        lanczos = min(n, max(3 * wanted, 20))
        found: tuple[Array, Array] = eigsh(
            rest, wanted, which="LA", v0=apart(start), ncv=lanczos, maxiter=150, tol=tolerance
        )
        return found

    wanted, tolerance = count - 1, 1e-9
    while True:
        if wanted:
            found, vectors = search(wanted, tolerance, draws.normal(size=n))
            basis = np.linalg.qr(np.column_stack([basis, vectors]))[0]
            values = np.concatenate([values, found])
        least = np.sort(values)[-count] if count > 1 else np.inf
        rough, vector = search(1, 1e-4, draws.normal(size=n))
        if rough[0] > least * (1 - 3e-4):
            rough, vector = search(1, tolerance, vector[:, 0])
        if not rough[0] > least * (1 + tolerance):
            break
        wanted = 1
    order = np.argsort(-values, kind="stable")[:count]
    return values[order], basis[:, order], float(rough[0])


def _thin_band(links: Any) -> npt.NDArray[np.integer[Any]] | None:
    """An order of the nodes that makes the links a thin band, or None.

    Chains and the like have eigenvalues that crowd at 0, which stops Lanczos, but they factorise cheaply.
    """
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    order: npt.NDArray[np.integer[Any]] = reverse_cuthill_mckee(links, symmetric_mode=True)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    pairs = links.tocoo()
    width = int(np.abs(place[pairs.row] - place[pairs.col]).max())
    return order if width <= len(order) // _THIN and len(order) * width**2 < _BAND_WORK else None


def _inverse(matrix: Any, sigma: float) -> Callable[[Array], Array]:
    from scipy.sparse import diags_array
    from scipy.sparse.linalg import splu

    shifted = (matrix + diags_array(np.full(matrix.shape[0], sigma))).tocsc()
    solve: Callable[[Array], Array] = splu(shifted, permc_spec="NATURAL").solve
    return solve
