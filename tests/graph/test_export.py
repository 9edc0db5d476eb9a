"""Exports and imports of the graph, against networkx and SciPy."""

from __future__ import annotations

import networkx
import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from sklearn.neighbors import NearestNeighbors

from graphprune.errors import InputError
from graphprune.graph.knn import KNNGraph


@pytest.fixture
def graph() -> KNNGraph:
    x = torch.randn(60, 3, generator=torch.Generator().manual_seed(0))
    x[30:] += 50  # two clusters, hence two components
    return KNNGraph.build(x, 4)


def links(graph: KNNGraph) -> set[tuple[int, int]]:
    """(neighbor, sample) pairs of the table, row by row."""
    return {
        (int(j), i)
        for i, (row, d) in enumerate(zip(graph.indices.tolist(), graph.distances.tolist(), strict=True))
        for j, one in zip(row, d, strict=True)
        if np.isfinite(one)
    }


def test_components(graph: KNNGraph) -> None:
    expected = networkx.number_weakly_connected_components(graph.to_networkx())
    count, labels = graph.components()
    assert count == expected >= 2
    assert len(set(labels[:30]) & set(labels[30:])) == 0


def test_every_form_has_the_same_links(graph: KNNGraph) -> None:
    expected = links(graph)
    assert set(graph.to_networkx().edges) == expected
    assert set(map(tuple, graph.to_pyg().edge_index.T.tolist())) == expected
    matrix = graph.to_csr().tocoo()
    assert set(zip(matrix.col.tolist(), matrix.row.tolist(), strict=True)) == expected
    dense = graph.to_csr(values="weight").toarray()
    i, j = 5, int(graph.indices[5, 2])
    assert dense[i, j] == pytest.approx(np.exp(-float(graph.distances[5, 2]) / 2))
    assert graph.to_networkx().edges[j, i]["weight"] == pytest.approx(dense[i, j])


def test_from_scikit_learn_equals_our_own(graph: KNNGraph) -> None:
    x = np.asarray(graph.embeddings)
    theirs = NearestNeighbors(n_neighbors=4).fit(x).kneighbors_graph(mode="distance")
    ours = KNNGraph.from_csr(theirs, embeddings=x)
    assert torch.equal(ours.indices, graph.indices)
    torch.testing.assert_close(ours.distances, graph.distances, rtol=1e-5, atol=1e-5)


def test_from_csr_pads_short_rows() -> None:
    matrix = csr_matrix(([2.0, 1.0, 3.0], ([0, 0, 2], [1, 2, 0])), shape=(3, 3))
    graph = KNNGraph.from_csr(matrix)
    assert graph.indices.tolist() == [[2, 1], [1, 1], [0, 2]]
    assert graph.distances.tolist() == [[1.0, 2.0], [float("inf")] * 2, [3.0, float("inf")]]
    assert graph.link_weights()[1].tolist() == [0.0, 0.0]
    with pytest.raises(InputError, match="square"):
        KNNGraph.from_csr(csr_matrix((2, 3)))
