"""Spectra against networkx and dense eigen-decompositions, and every degenerate case by hand."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from graphprune.errors import InputError
from graphprune.graph.eigen import smallest
from graphprune.graph.knn import KNNGraph
from graphprune.graph.laplacian import adjacency, batch_links, components, laplacian, similarity
from graphprune.graph.spectral import fiedler_vector

KINDS = ["unnormalised", "symmetric"]


def random_links(n: int, seed: int, density: float = 0.3) -> np.ndarray:
    """Weights of a connected random graph."""
    rng = np.random.default_rng(seed)
    links = np.triu(rng.random((n, n)) * (rng.random((n, n)) < density), 1)
    links[np.arange(n - 1), np.arange(1, n)] += 0.1
    return links + links.T


def blocks(*parts: np.ndarray) -> np.ndarray:
    n = sum(len(part) for part in parts)
    links, start = np.zeros((n, n)), 0
    for part in parts:
        links[start : start + len(part), start : start + len(part)] = part
        start += len(part)
    return links


def slow_laplacian(links: np.ndarray, kind: str) -> np.ndarray:
    n = len(links)
    matrix = np.zeros((n, n))
    degree = [sum(row) for row in links]
    for i in range(n):
        for j in range(n):
            if kind == "unnormalised":
                matrix[i, j] = (degree[i] if i == j else 0) - links[i, j]
            elif degree[i] and degree[j]:
                matrix[i, j] = (i == j) - links[i, j] / (degree[i] * degree[j]) ** 0.5
    return matrix


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return abs(float(a @ b)) / (np.linalg.norm(a) * np.linalg.norm(b))


@pytest.mark.parametrize("kind", KINDS)
def test_laplacians_equal_the_definition(kind: str) -> None:
    links = blocks(random_links(9, 0), np.zeros((1, 1)), random_links(3, 1))
    want = slow_laplacian(links, kind)
    assert np.allclose(laplacian(torch.from_numpy(links), kind), want)
    assert np.allclose(laplacian(csr_array(links), kind).toarray(), want)
    if kind == "symmetric":
        graph = nx.from_numpy_array(links)
        assert np.allclose(want, nx.normalized_laplacian_matrix(graph).toarray())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n", [2, 3, 10, 60, 300, 700])
def test_fiedler_vector_equals_dense_eigh(kind: str, n: int) -> None:
    links = random_links(n, n, density=min(1, 12 / n))
    values, vectors = (
        np.linalg.eig(slow_laplacian(links, kind))
        if n < 100
        else np.linalg.eig(np.asarray(laplacian(torch.from_numpy(links), kind)))
    )
    order = np.argsort(values.real)
    want = vectors[:, order[1]].real
    for form in (torch.from_numpy(links), csr_array(links)):
        found = fiedler_vector(form, kind=kind)
        assert cosine(found.vector.numpy(), want) >= 0.99999
        assert found.value == pytest.approx(values[order[1]].real, rel=1e-6)
        assert found.unique
        assert found.vector.norm() == pytest.approx(1)
        assert found.vector[found.vector.abs().argmax()] > 0


@pytest.mark.parametrize("normalized", [False, True])
def test_fiedler_vector_equals_networkx(normalized: bool) -> None:
    graph = nx.karate_club_graph()
    links = nx.to_numpy_array(graph)
    # networkx gives the normalized Laplacian's vector, scaled by the root of the degrees or not by version.
    want = nx.fiedler_vector(graph, weight="weight", normalized=normalized, method="tracemin_lu")
    found = fiedler_vector(torch.from_numpy(links), kind="symmetric" if normalized else "unnormalised").vector
    root = np.sqrt(links.sum(axis=1))
    assert max(cosine(found.numpy(), v) for v in (want, want * root, want / root)) >= 0.99999
    assert nx.algebraic_connectivity(graph, weight="weight") == pytest.approx(
        fiedler_vector(torch.from_numpy(links)).value, rel=1e-6
    )


def test_fiedler_vector_of_a_knn_graph_equals_dense_eigh() -> None:
    points = torch.randn(400, 3, generator=torch.Generator().manual_seed(0))
    graph = KNNGraph.build(points, k=12)
    links = np.zeros((400, 400))
    for i in range(400):
        for j, d in zip(graph.indices[i].tolist(), graph.distances[i].tolist(), strict=True):
            links[i, j] = links[j, i] = np.exp(-d / 2)
    assert np.allclose(adjacency(graph).toarray(), links)
    values, vectors = np.linalg.eigh(slow_laplacian(links, "unnormalised"))
    found = fiedler_vector(graph)
    assert found.value == pytest.approx(values[1], rel=1e-7)
    assert cosine(found.vector.numpy(), vectors[:, 1]) >= 0.99999


def test_the_batch_part_of_a_graph_is_its_submatrix() -> None:
    graph = KNNGraph.build(torch.randn(60, 2, generator=torch.Generator().manual_seed(0)), k=9)
    rows = torch.randperm(60, generator=torch.Generator().manual_seed(1))[:25]
    want = adjacency(graph).toarray()[np.ix_(rows, rows)]
    assert np.allclose(batch_links(graph, rows).numpy(), want)
    padded = KNNGraph(torch.tensor([[1, 0], [0, 1]]), torch.tensor([[1.0, torch.inf], [1.0, torch.inf]]))
    assert batch_links(padded, torch.tensor([1, 0])).diagonal().tolist() == [0, 0]


def test_similarity_is_the_clipped_cosine() -> None:
    features = torch.randn(20, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    features[3] = 0
    got = similarity(features)
    for i in range(20):
        for j in range(20):
            a, b = features[i].numpy(), features[j].numpy()
            length = np.linalg.norm(a) * np.linalg.norm(b)
            want = 0 if i == j or not length else max(0.0, float(a @ b) / length)
            assert got[i, j] == pytest.approx(want, abs=1e-12)
    assert similarity(features.half()).dtype == torch.float32


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_nan_and_infinity_are_rejected(bad: float) -> None:
    features = torch.ones(4, 2)
    features[2, 1] = bad
    with pytest.raises(InputError, match="NaN or infinite"):
        similarity(features)
    links = torch.ones(3, 3).fill_diagonal_(0)
    links[0, 1] = links[1, 0] = bad
    with pytest.raises(InputError, match="finite"):
        fiedler_vector(links)


@pytest.mark.parametrize(
    ("links", "message"),
    [
        (torch.ones(3, 2), "square"),
        (torch.zeros(0, 0), "square"),
        (torch.eye(3), "zero on the diagonal"),
        (-torch.ones(2, 2).fill_diagonal_(0), "not negative"),
        (torch.tensor([[0.0, 1.0], [0.5, 0.0]]), "not symmetric"),
        (csr_array(np.array([[0.0, 1.0], [0.5, 0.0]])), "not symmetric"),
    ],
)
def test_invalid_link_matrices_are_rejected(links: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        fiedler_vector(links)


def test_tiny_batches_have_an_answer() -> None:
    assert fiedler_vector(torch.zeros(1, 1)).vector.tolist() == [0]
    pair = fiedler_vector(torch.tensor([[0.0, 3.0], [3.0, 0.0]]))
    assert pair.value == pytest.approx(6)
    assert pair.vector.tolist() == pytest.approx([0.5**0.5, -(0.5**0.5)])
    apart = fiedler_vector(torch.zeros(2, 2))
    assert apart.vector.tolist() == [0, 0]
    assert apart.components.tolist() == [0, 1]
    line = fiedler_vector(torch.tensor([[0.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]))
    assert line.value == pytest.approx(1)
    assert line.vector.tolist() == pytest.approx([0.5**0.5, 0, -(0.5**0.5)], abs=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_components_are_solved_one_by_one(kind: str) -> None:
    parts = [random_links(12, 0), random_links(30, 1), np.zeros((1, 1)), random_links(2, 2)]
    links = blocks(*parts)
    for form in (torch.from_numpy(links), csr_array(links)):
        found = fiedler_vector(form, kind=kind)
        assert found.value == 0
        assert found.components.tolist() == [1] * 12 + [0] * 30 + [3] + [2] * 2
        start = 0
        for part in parts:
            got = found.vector[start : start + len(part)].numpy()
            if len(part) == 1:
                assert got == 0
            else:
                values, vectors = np.linalg.eig(slow_laplacian(part, kind))
                assert cosine(got, vectors[:, np.argsort(values)[1]]) >= 0.99999
                assert np.linalg.norm(got) == pytest.approx((len(part) / 45) ** 0.5)
            start += len(part)


@pytest.mark.parametrize("n", [4, 50, 300])
def test_constant_embeddings_give_the_first_node(n: int) -> None:
    """The complete graph: its second eigenvalue has multiplicity n - 1, and row 0 is projected onto the eigenspace."""
    found = fiedler_vector(similarity(torch.ones(n, 5)))
    assert not found.unique
    want = -torch.ones(n) / n
    want[0] += 1
    assert cosine(found.vector.numpy(), want.numpy()) >= 0.9999
    assert found.value == pytest.approx(n, rel=1e-4)


def test_a_multiple_eigenvalue_gives_a_vector_that_no_basis_can_change() -> None:
    """A ring's second eigenvalue is double; the node that is projected onto its eigenspace is row 0."""
    for n in (12, 400):
        ring = nx.to_numpy_array(nx.cycle_graph(n))
        found = fiedler_vector(torch.from_numpy(ring))
        angle = 2 * np.pi * np.arange(n) / n
        assert found.value == pytest.approx(2 - 2 * np.cos(2 * np.pi / n), rel=1e-6)
        assert not found.unique
        assert cosine(found.vector.numpy(), np.cos(angle)) >= 0.99999


@pytest.mark.parametrize("kind", KINDS)
def test_links_of_a_batch_give_the_same_bytes_without_validation(kind: str) -> None:
    links = similarity(torch.randn(30, 4, generator=torch.Generator().manual_seed(0)))
    assert torch.equal(
        fiedler_vector(links, kind=kind).vector, fiedler_vector(links, kind=kind, checked=True).vector
    )


def test_duplicates_get_equal_entries() -> None:
    features = torch.randn(10, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).abs()
    twice = torch.cat([features, features])
    vector = fiedler_vector(similarity(twice)).vector
    assert torch.allclose(vector[:10], vector[10:], atol=1e-8)


@pytest.mark.parametrize("kind", ["unnormalised", "symmetric"])
@pytest.mark.parametrize("n", [40, 500])
def test_first_eigenvectors_span_the_dense_ones(kind: str, n: int) -> None:
    """Also for multiple eigenvalues: invariant subspaces agree, whatever basis a solver returns."""
    links = nx.to_numpy_array(nx.cycle_graph(n))
    values, vectors, following = smallest(csr_array(links), 9, kind)
    want, basis = np.linalg.eigh(
        slow_laplacian(links, kind) if n < 100 else np.asarray(laplacian(csr_array(links), kind).toarray())
    )
    assert np.allclose(values, want[:9], atol=1e-8)
    assert following == pytest.approx(want[9], rel=1e-2)
    space = basis[:, want <= want[8] + 1e-9]
    assert np.allclose(np.linalg.norm(space.T @ vectors, axis=0), 1, atol=1e-6)
    assert np.allclose(vectors.T @ vectors, np.eye(9), atol=1e-6)


@pytest.mark.parametrize("count", [3, 5, 9])
def test_every_vector_of_a_multiple_eigenvalue_is_found(count: int) -> None:
    """A torus of 18 x 18 has second eigenvalues of multiplicity 4, of which one Lanczos run sees one."""
    torus = nx.to_scipy_sparse_array(nx.grid_2d_graph(18, 18, periodic=True)).astype(float)
    values, vectors, _ = smallest(csr_array(torus), count, "unnormalised")
    ring = 2 - 2 * np.cos(2 * np.pi * np.arange(18) / 18)
    assert values == pytest.approx(np.sort((ring[:, None] + ring).ravel())[:count], abs=1e-8)
    assert np.allclose(4 * vectors - csr_array(torus) @ vectors, vectors * values, atol=1e-5)


def test_a_long_chain_is_solved() -> None:
    """Lanczos iterations do not converge here: the gap is 1e-6 of the spectrum."""
    n = 6000
    chain = csr_array(nx.to_scipy_sparse_array(nx.path_graph(n)))
    found = fiedler_vector(chain)
    want = np.cos(np.pi * (np.arange(n) + 0.5) / n)
    assert cosine(found.vector.numpy(), want) >= 0.99999
    assert found.value == pytest.approx(2 - 2 * np.cos(np.pi / n), rel=1e-4)
    assert found.unique


def test_the_solver_returns_the_next_eigenvalue() -> None:
    links = random_links(500, 0, density=0.03)
    want = np.linalg.eigvalsh(np.asarray(laplacian(torch.from_numpy(links))))
    values, _, following = smallest(csr_array(links), 3, "unnormalised")
    assert values == pytest.approx(want[:3], abs=1e-8)
    assert following == pytest.approx(want[3], rel=1e-3)


@settings(max_examples=40, deadline=None)
@given(n=st.integers(2, 40), seed=st.integers(0, 10**6), density=st.floats(0, 1))
def test_any_graph_gives_a_finite_vector_of_its_components(n: int, seed: int, density: float) -> None:
    rng = np.random.default_rng(seed)
    links = np.triu(rng.random((n, n)) * (rng.random((n, n)) < density), 1)
    links = links + links.T
    found = fiedler_vector(torch.from_numpy(links).float())
    sizes = [len(part) for part in nx.connected_components(nx.from_numpy_array(links))]
    assert found.components.max() + 1 == len(sizes)
    assert found.components.bincount().tolist() == sorted(sizes, reverse=True)
    assert found.vector.isfinite().all()
    assert found.vector.dtype == torch.float32
    # Every component's part is orthogonal to its indicator.
    for c in range(len(sizes)):
        assert abs(float(found.vector[found.components == c].sum())) < 1e-4
    again = fiedler_vector(torch.from_numpy(links).float())
    assert torch.equal(found.vector, again.vector)


def test_components_are_numbered_by_size() -> None:
    links = blocks(np.zeros((1, 1)), random_links(3, 0), random_links(3, 1), random_links(7, 2))
    assert components(torch.from_numpy(links)).tolist() == [3] + [1] * 3 + [2] * 3 + [0] * 7


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "multiplicity"), [("ring", 2), ("grid", 2), ("star", 998), ("torus", 4), ("hypercube", 10)]
)
def test_large_graphs_with_repeated_eigenvalues(name: str, multiplicity: int, kind: str) -> None:
    graph = {
        "ring": nx.cycle_graph(1000),
        "grid": nx.grid_2d_graph(32, 32),
        "star": nx.star_graph(999),
        "torus": nx.grid_2d_graph(32, 32, periodic=True),
        "hypercube": nx.hypercube_graph(10),
    }[name]
    links = csr_array(nx.to_scipy_sparse_array(graph, dtype=float))
    matrix = laplacian(links, kind).toarray()
    degrees = links.sum(axis=1)
    scale = np.ones(len(degrees)) if kind == "unnormalised" else degrees**-0.5
    base = np.diag(degrees * scale**2) - scale[:, None] * links.toarray() * scale
    values, basis = np.linalg.eigh(base)
    space = basis[:, np.abs(values - values[1]) < 1e-9]
    assert space.shape[1] == multiplicity
    found = fiedler_vector(links, kind=kind)
    assert not found.unique
    assert found.value == pytest.approx(values[1], abs=1e-8)
    vector = found.vector.numpy()
    assert np.linalg.norm(matrix @ vector - found.value * vector) < 1e-8
    # The projection of the lowest node that has a share in the space: no basis can change it.
    shares = np.linalg.norm(space, axis=1)
    node = int(np.flatnonzero(shares > 1e-3 * shares.max())[0])
    assert cosine(vector, space @ space[node]) == pytest.approx(1, abs=1e-10)
    assert fiedler_vector(links, kind=kind).vector.numpy().tobytes() == vector.tobytes()


def test_fiedler_vector_of_a_star_by_hand() -> None:
    """The hub has no share in the eigenspace of value 1; so leaf 1 is projected onto it."""
    found = fiedler_vector(csr_array(nx.to_scipy_sparse_array(nx.star_graph(999), dtype=float)))
    want = np.full(1000, -1.0)
    want[0], want[1] = 0, 998
    assert found.value == pytest.approx(1, abs=1e-10)
    assert found.vector.numpy() == pytest.approx(want / np.linalg.norm(want), abs=1e-10)
