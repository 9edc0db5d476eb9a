"""Smallest eigenpairs of a connected graph's Laplacian, by the fastest reliable solver."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from graphprune.errors import InputError
from graphprune.graph.laplacian import Kind, inverse_root

Array = npt.NDArray[np.floating[Any]]

# Up to this many nodes a dense solver is faster than Lanczos iterations.
DENSE = 256
# Up to this size a dense solver takes seconds, and is used if Lanczos iterations do not converge.
_DENSE_FALLBACK = 4_096
# A band of links is factorized if that takes few operations (nodes times width squared). A thin graph, _THIN times
# longer than wide, may take up to a second, because Lanczos iterations do not converge on it.
_CHEAP, _BAND_WORK, _THIN = 1e8, 1e9, 50
# Lanczos steps without a restart: in a first attempt and in a projection; and the most floats of their vectors.
_FEW, _STEPS, _FLOATS = 40, 400, 2**25


def smallest(links: Any, count: int, kind: Kind) -> tuple[Array, Array, float]:
    """The ``count`` smallest eigenvalues ``[count]``, vectors ``[n, count]``, and the next eigenvalue.

    A multiple eigenvalue is returned with its multiplicity: one Lanczos run finds only one of its vectors, so
    the rest of the space is searched until nothing smaller is left. The next value (inf if all are returned) shows
    whether the last one is simple; unless the two are close, it has an accuracy of three digits only.

    Args:
        links: Symmetric weights of one component, ``[n, n]`` array or CSR.
        count: Number of eigenpairs, 1 to n.
        kind: Kind of Laplacian.
    """
    n = links.shape[0]
    degrees = np.asarray(links.sum(axis=1)).reshape(-1)
    scale = np.ones_like(degrees) if kind == "unnormalised" else inverse_root(degrees)
    with _one_thread():
        if n <= DENSE or count > n // 4:
            values, vectors, following = _dense(links, scale, count)
        else:
            values, vectors, following = _sparse(links, scale, count)
    return values, vectors.astype(links.dtype), following


def second(links: Any, kind: Kind, tolerance: float) -> tuple[float, Array, bool] | None:
    """Second smallest eigenvalue of a Laplacian, one of its eigenvectors ``[n]``, and whether it is simple.

    Lanczos steps that start at one node stay in the span of this node's projections onto the eigenspaces. So they
    find one vector of a multiple eigenvalue, whatever its multiplicity: the projection of the first node that has
    a share in the eigenspace, which does not depend on a solver's basis. None if a few steps do not suffice.

    Args:
        links: As for `smallest`, with more than two nodes.
        kind: ``unnormalised`` or ``symmetric``.
        tolerance: Eigenvalues closer than this are equal.
    """
    degrees = np.asarray(links.sum(axis=1)).reshape(-1)
    scale = np.ones_like(degrees) if kind == "unnormalised" else inverse_root(degrees)
    draws, n = np.random.default_rng(0), len(degrees)
    with _one_thread():
        operator = _operator(links, scale)
        known = (operator.first / np.linalg.norm(operator.first))[None]
        found = _krylov(operator.product, draws.normal(size=n), known, _FEW)
        if found is None:
            return None
        value, vector = float(operator.eigenvalue(found[0])), found[1]
        following = _krylov(operator.product, draws.normal(size=n), np.stack([known[0], vector]), 2 * _FEW)
        if following is None:
            return None
        simple = operator.eigenvalue(following[0]) - value > tolerance
        if not simple:
            # The entry of a random vector of the space is 0 if the node's projection is 0, and hardly ever otherwise.
            ordered = vector if operator.place is None else vector[operator.place]
            node = lowest(np.abs(ordered))
            start = np.zeros(n)
            start[node if operator.place is None else operator.place[node]] = 1
            found = _krylov(operator.product, start, known, _STEPS)
            if found is None or abs(operator.eigenvalue(found[0]) - value) > tolerance:
                return None
            vector = found[1]
    vector = vector if operator.place is None else vector[operator.place]
    return max(value, 0.0), vector.astype(links.dtype), bool(simple)


def lowest(shares: Array) -> int:
    """The first row whose share in an eigenspace is not negligible."""
    return int(np.argmax(shares >= 1e-3 * shares.max()))


def _krylov(
    product: Callable[[Array], Array], start: Array, known: Array, steps: int
) -> tuple[float, Array] | None:
    """Largest eigenpair in the Krylov space of a start vector, orthogonal to the rows of ``known [m, n]``."""
    from scipy.linalg import eigh_tridiagonal

    n, m = len(start), len(known)
    steps = min(n - m, steps, max(2, _FLOATS // n))
    basis = np.empty((m + steps, n))
    basis[:m] = known
    along, beside = np.empty(steps), np.empty(steps)
    vector = start - (known @ start) @ known
    vector /= np.linalg.norm(vector)
    for step in range(steps):
        basis[m + step] = vector
        rest = product(vector)
        along[step] = vector @ rest
        earlier = basis[: m + step + 1]
        for _ in range(2):  # one pass does not give orthogonality to the last digit
            rest = rest - (earlier @ rest) @ earlier
        beside[step] = np.linalg.norm(rest)
        # Beyond the end of a small Krylov space, rounding errors would add other vectors of an eigenspace.
        closed = beside[step] <= 1e-10 * np.abs(along[: step + 1]).max()
        if closed or step < _FEW or step % 8 == 7 or step == steps - 1:
            tops, parts = eigh_tridiagonal(along[: step + 1], beside[:step])
            if closed or beside[step] * abs(parts[-1, -1]) <= 1e-11 * abs(tops[-1]):
                found = parts[:, -1] @ earlier[m:]
                return float(tops[-1]), found / np.linalg.norm(found)
        vector = rest / beside[step]
    return None


@contextmanager
def _one_thread() -> Iterator[None]:
    """Limits BLAS to one thread: more threads slow these small products down, 100 times on a busy machine."""
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


class _Operator(NamedTuple):
    """A positive operator whose largest eigenvalues are a Laplacian's smallest ones.

    Attributes:
        product: Applies the operator to a vector ``[n]``.
        first: Its first eigenvector, of any length.
        eigenvalue: Converts one of its eigenvalues to the Laplacian's.
        place: Position of each node in its vectors, or None if they are in the order of the nodes.
    """

    product: Callable[[Array], Array]
    first: Array
    eigenvalue: Callable[[Any], Any]
    place: npt.NDArray[np.integer[Any]] | None


def _operator(links: Any, scale: Array) -> _Operator:
    """``c I - L``, or the inverse of L if its band is cheap to factorize or the graph is thin."""
    from scipy.sparse import csr_array, diags_array

    dense = isinstance(links, np.ndarray)
    links, scale = csr_array(links).astype(np.float64), scale.astype(np.float64)
    weights = diags_array(scale) @ links @ diags_array(scale)
    diagonal = links.sum(axis=1) * scale**2
    top, first = 2 * float(diagonal.max()), 1 / scale
    order = None if dense else _narrow_band(links)
    if order is not None:
        matrix = (diags_array(diagonal) - weights).tocsr()[order][:, order]
        sigma = 1e-9 * top
        place = np.empty_like(order)
        place[order] = np.arange(len(order))
        return _Operator(_inverse(matrix, sigma), first[order], lambda value: 1 / value - sigma, place)
    flipped = (diags_array(top - diagonal) + weights).tocsr()
    product = flipped.toarray().__matmul__ if dense else flipped.__matmul__
    return _Operator(product, first, lambda value: top - value, None)


def _sparse(links: Any, scale: Array, count: int) -> tuple[Array, Array, float]:
    """Lanczos iterations on `_operator`; a dense solver if they do not converge."""
    from scipy.sparse.linalg import ArpackNoConvergence

    operator = _operator(links, scale)
    try:
        values, vectors, following = _largest(operator.product, operator.first, count)
    except ArpackNoConvergence as error:
        n = len(scale)
        if n > _DENSE_FALLBACK:
            raise InputError(
                f"the eigenvectors of this graph of {n} nodes do not converge; build the graph with more neighbors"
            ) from error
        return _dense(links, scale, count)
    if operator.place is not None:
        vectors = vectors[operator.place]
    values = np.concatenate([[0], operator.eigenvalue(values[1:])])
    return values, vectors, float(operator.eigenvalue(following))


def _largest(product: Callable[[Array], Array], first: Array, count: int) -> tuple[Array, Array, float]:
    """Largest eigenpairs of a positive operator whose first pair is known, and the value that follows them."""
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


def _narrow_band(links: Any) -> npt.NDArray[np.integer[Any]] | None:
    """An order of the nodes in which the links form a band worth factorizing, or None."""
    from scipy.sparse.csgraph import reverse_cuthill_mckee

    order: npt.NDArray[np.integer[Any]] = reverse_cuthill_mckee(links, symmetric_mode=True)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    pairs = links.tocoo()
    width = int(np.abs(place[pairs.row] - place[pairs.col]).max())
    work = len(order) * width**2
    return order if work < _CHEAP or (width <= len(order) // _THIN and work < _BAND_WORK) else None


def _inverse(matrix: Any, sigma: float) -> Callable[[Array], Array]:
    from scipy.sparse import diags_array
    from scipy.sparse.linalg import splu

    shifted = (matrix + diags_array(np.full(matrix.shape[0], sigma))).tocsc()
    solve: Callable[[Array], Array] = splu(shifted, permc_spec="NATURAL").solve
    return solve
