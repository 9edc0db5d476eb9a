"""Neighbor search against a slow independent implementation, and the graph object."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.errors import InputError
from graphprune.graph import backends
from graphprune.graph.knn import KNNGraph
from graphprune.graph.points import Points


def brute(x: np.ndarray, k: int, metric: str) -> tuple[np.ndarray, np.ndarray]:
    """All pairs in float64, one row at a time; ties (to 12 digits) by lower row."""
    x = x.astype(np.float64)
    if metric == "cosine":
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
    found, rows = [], []
    for i, row in enumerate(x):
        if metric == "inner":
            d = -(x * row).sum(1)
        else:
            d = np.sqrt(((x - row) ** 2).sum(1))
            d = d**2 / 2 if metric == "cosine" else d
        others = [j for j in range(len(x)) if j != i]
        others.sort(key=lambda j: (float(f"{d[j]:.12e}"), j))
        rows.append(others[:k])
        found.append(d[others[:k]])
    return np.array(found), np.array(rows)


@st.composite
def points(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    n = draw(st.integers(2, 40))
    d = draw(st.integers(1, 5))
    # A small lattice, so that ties and duplicates are common; every distance is exact in float32.
    values = draw(st.lists(st.integers(-2, 2), min_size=n * d, max_size=n * d))
    k = draw(st.sampled_from(sorted({1, n // 2, n - 1} - {0})))
    return np.array(values, dtype=np.float32).reshape(n, d), k


@settings(max_examples=60, deadline=None)
@given(
    case=points(),
    metric=st.sampled_from(["euclidean", "inner"]),
    precision=st.sampled_from(["float32", "bfloat16", "int8"]),
)
def test_lattice_with_ties_equals_brute_force(
    case: tuple[np.ndarray, int], metric: str, precision: str
) -> None:
    x, k = case
    expected, rows = brute(x, k, metric)
    p = Points(torch.from_numpy(x), metric)
    distances, found = backends.exact_search(
        p, p, k, own=torch.arange(len(x)), precision=precision, block_size=7
    )
    np.testing.assert_array_equal(found.numpy(), rows)
    np.testing.assert_allclose(distances.numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "inner"])
@pytest.mark.parametrize("precision", ["float32", "bfloat16", "int8"])
def test_random_points_equal_brute_force(metric: str, precision: str) -> None:
    x = np.random.default_rng(0).normal(3.0, 1.0, (400, 70)).astype(np.float32)
    expected, rows = brute(x, 9, metric)
    p = Points(torch.from_numpy(x), metric)
    distances, found = backends.exact_search(p, p, 9, own=torch.arange(400), precision=precision)
    np.testing.assert_array_equal(found.numpy(), rows)
    np.testing.assert_allclose(distances.numpy(), expected, rtol=1e-5)


@given(n=st.integers(1, 3000), count=st.integers(1, 12), levels=st.integers(1, 2000), seed=st.integers(0, 99))
def test_largest_equals_topk(n: int, count: int, levels: int, seed: int) -> None:
    scores = torch.randint(levels, (3, n), generator=torch.Generator().manual_seed(seed)).float()
    values, columns = backends.largest(scores, min(count, n))
    assert torch.equal(values, scores.sort(dim=1, descending=True).values[:, :count])
    assert torch.equal(scores.gather(1, columns), values)
    assert all(len(set(row)) == len(row) for row in columns.tolist())


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "inner"])
def test_any_block_size_and_precision_give_the_same_bytes(
    metric: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    g = torch.Generator().manual_seed(1)
    centers = torch.randn(12, 96, generator=g)
    x = centers[torch.randint(12, (5000,), generator=g)] + 0.01 * torch.randn(5000, 96, generator=g)
    x[1000:1100] = x[0]
    whole = KNNGraph.build(x, 10, metric=metric)
    monkeypatch.setattr(backends, "_FIRST_SLAB", 100)
    monkeypatch.setattr(backends, "_QUERY_SLAB", 700)
    monkeypatch.setattr(backends, "_DATABASE_SLAB", 900)
    monkeypatch.setattr(backends, "formats", lambda *_: [torch.float32])
    blocks = KNNGraph.build(x, 10, metric=metric, block_size=33)
    assert torch.equal(whole.indices, blocks.indices)
    assert torch.equal(whole.distances, blocks.distances)


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_duplicates_have_distance_zero_and_are_ordered_by_row(metric: str) -> None:
    x = torch.randn(3000, 8, generator=torch.Generator().manual_seed(0))
    x[100:200] = x[7]
    graph = KNNGraph.build(x, 5, metric=metric)
    assert graph.indices[150].tolist() == [7, 100, 101, 102, 103]
    assert graph.indices[101].tolist() == [7, 100, 102, 103, 104]
    assert (graph.distances[100:200] == 0).all()


def test_constant_embeddings_are_quick_and_ordered() -> None:
    graph = KNNGraph.build(torch.ones(20_000, 64), 4)
    assert graph.indices[[0, 2, 19_999]].tolist() == [[1, 2, 3, 4], [0, 1, 3, 4], [0, 1, 2, 3]]


@pytest.mark.parametrize("factor", [1e-30, 1e-12, 1e25])
def test_very_small_and_large_values(factor: float) -> None:
    x = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
    plain, scaled = KNNGraph.build(x, 3), KNNGraph.build(x * factor, 3)
    assert torch.equal(plain.indices, scaled.indices)
    torch.testing.assert_close(scaled.distances, plain.distances * factor, rtol=1e-5, atol=0)


def test_far_from_the_origin() -> None:
    x = torch.randn(500, 6, generator=torch.Generator().manual_seed(0)) + 4096
    expected, rows = brute(x.numpy(), 3, "euclidean")
    graph = KNNGraph.build(x, 3)
    np.testing.assert_array_equal(graph.indices.numpy(), rows)
    np.testing.assert_allclose(graph.distances.numpy(), expected, rtol=1e-5)


def test_ivf_finds_nearly_all_and_reports_its_recall() -> None:
    pytest.importorskip("faiss")
    x = torch.randn(6000, 24, generator=torch.Generator().manual_seed(0))
    exact, nearly = KNNGraph.build(x, 10, backend="exact"), KNNGraph.build(x, 10, backend="ivf")
    hits = (nearly.indices[:, :, None] == exact.indices[:, None, :]).any(2).float().mean().item()
    assert hits > 0.95
    assert abs(hits - nearly.recall) < 0.03
    assert (nearly.distances.diff(dim=1) >= 0).all()
    assert not (nearly.indices == torch.arange(6000)[:, None]).any()
    again = KNNGraph.build(x, 10, backend="ivf")
    assert torch.equal(again.indices, nearly.indices)


def test_query_among_some_rows_and_for_new_points() -> None:
    x = torch.randn(300, 5, generator=torch.Generator().manual_seed(0))
    among = torch.randperm(300, generator=torch.Generator().manual_seed(1))[:40]
    distances, positions = KNNGraph.build(x, 4).query(among=among, k=6)
    every = torch.cdist(x.double(), x[among].double())
    every[among, torch.arange(40)] = torch.inf
    expected = every.sort(dim=1)
    assert torch.equal(positions, expected.indices[:, :6])
    torch.testing.assert_close(distances, expected.values[:, :6].float(), rtol=1e-5, atol=1e-6)
    new = KNNGraph.build(x, 4).query(points=x[:3] + 0, k=2)
    assert new[1][:, 0].tolist() == [0, 1, 2]
    assert (new[0][:, 0] == 0).all()


def test_query_pads_a_row_that_is_among_exactly_k() -> None:
    x = torch.arange(5.0)[:, None]
    distances, positions = KNNGraph.build(x, 2).query(among=torch.tensor([1, 3]), k=2)
    assert positions[0].tolist() == [0, 1]
    assert positions[1].tolist() == [1, 0]
    assert distances[1].tolist() == [2.0, float("inf")]


@pytest.mark.parametrize("metric", ["euclidean", "cosine", "inner"])
def test_extend_equals_rebuild(metric: str) -> None:
    x = torch.randn(400, 6, generator=torch.Generator().manual_seed(0))
    x[390] = x[3]
    grown = KNNGraph.build(x[:350], 7, metric=metric).extend(x[350:])
    rebuilt = KNNGraph.build(x, 7, metric=metric)
    assert torch.equal(grown.indices, rebuilt.indices)
    assert torch.equal(grown.distances, rebuilt.distances)


def test_labels_pull_links_into_the_class() -> None:
    g = torch.Generator().manual_seed(0)
    x, labels = torch.randn(200, 4, generator=g), torch.randint(3, (200,), generator=g)
    graph = KNNGraph.build(x, 5, labels=labels, label_weight=100.0)
    assert (labels[graph.indices.long()] == labels[:, None]).all()
    assert not (labels[KNNGraph.build(x, 5).indices.long()] == labels[:, None]).all()


@pytest.mark.parametrize("mmap", [True, False])
def test_save_and_load(tmp_path: object, mmap: bool) -> None:
    x = np.random.default_rng(0).normal(size=(60, 3)).astype(np.float32)
    graph = KNNGraph.build(x, 4, metric="cosine")
    graph.save(f"{tmp_path}/graph")
    loaded = KNNGraph.load(f"{tmp_path}/graph", x, mmap=mmap)
    assert (loaded.metric, loaded.recall, loaded.n, loaded.k) == ("cosine", 1.0, 60, 4)
    assert torch.equal(loaded.indices, graph.indices)
    assert torch.equal(loaded.distances, graph.distances)
    assert torch.equal(loaded.query(k=4)[1], graph.indices.long())
    with pytest.raises(InputError, match="embeddings="):
        KNNGraph.load(f"{tmp_path}/graph").query(k=2)


def test_memory_mapped_embeddings_give_the_same(tmp_path: object, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.random.default_rng(0).normal(size=(500, 9)).astype(np.float16)
    np.save(f"{tmp_path}/e.npy", x)
    plain = KNNGraph.build(torch.from_numpy(x), 6)
    monkeypatch.setattr("graphprune.graph.points.RESIDENT_BYTES", 0)
    monkeypatch.setattr(backends, "_DATABASE_SLAB", 128)
    mapped = KNNGraph.build(np.load(f"{tmp_path}/e.npy", mmap_mode="r"), 6)
    assert torch.equal(plain.indices, mapped.indices)
    assert torch.equal(plain.distances, mapped.distances)


BAD = {
    "k too large": (np.eye(3), 3, "euclidean", "k is 3.*from 1 to 2"),
    "k zero": (np.eye(3), 0, "euclidean", "k is 0"),
    "nan": (np.array([[1.0], [np.nan], [2.0], [np.inf]]), 1, "euclidean", "2 of 4.*row 1"),
    "shape": (np.ones(4), 1, "euclidean", r"\[4\]"),
    "text": (np.array([["a"], ["b"]]), 1, "euclidean", "real numbers"),
    "zero vector": (np.array([[1.0], [0.0], [2.0]]), 1, "cosine", "1 of 3.*row 1"),
    "metric": (np.eye(3), 1, "manhattan", "manhattan"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case: str) -> None:
    x, k, metric, message = BAD[case]
    with pytest.raises(InputError, match=message):
        KNNGraph.build(x, k, metric=metric)


def test_query_among_a_permutation_equals_query_among_all() -> None:
    x = torch.randn(200, 4, generator=torch.Generator().manual_seed(3))
    graph = KNNGraph.build(x, 4)
    order = torch.randperm(200, generator=torch.Generator().manual_seed(1))
    distances, positions = graph.query(among=order, k=6)
    expected, rows = graph.query(k=6)
    assert torch.equal(distances, expected)
    assert torch.equal(order[positions], rows)


@pytest.mark.parametrize(
    ("among", "message"),
    [
        (torch.ones(10, dtype=torch.bool), "give rows"),
        (torch.tensor([0.0, 1.7]), "give rows"),
        (torch.tensor([3, 3, 4]), "more than once"),
        (torch.tensor([3, 10]), "outside 0..9"),
    ],
)
def test_query_among_invalid_rows_is_rejected(among: torch.Tensor, message: str) -> None:
    graph = KNNGraph.build(torch.arange(10.0)[:, None], 2)
    with pytest.raises(InputError, match=message):
        graph.query(among=among, k=2)


def test_a_graph_with_own_weights_is_not_extended() -> None:
    graph = KNNGraph.build(torch.arange(10.0)[:, None], 2)
    weighted = KNNGraph(graph.indices, graph.distances, embeddings=graph.embeddings, weights=graph.distances)
    with pytest.raises(InputError, match="weights of its own"):
        weighted.extend(torch.ones(1, 1))
