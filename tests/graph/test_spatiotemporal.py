"""Temporal and sensor links by hand, on graphs small enough to draw."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from graphprune.data.links import link_strengths
from graphprune.errors import InputError
from graphprune.graph.knn import KNNGraph
from graphprune.graph.spatiotemporal import sensor_rows, spatiotemporal_graph, temporal_rows

INF = float("inf")


def links_of(graph):
    """Per row: {neighbor: (distance, weight)} without padding."""
    rows = zip(graph.indices.tolist(), graph.distances.tolist(), graph.weights.tolist(), strict=True)
    return [{j: (round(d, 4), round(w, 4)) for j, d, w in zip(*row, strict=True) if d < INF} for row in rows]


def test_network_windows_are_linked_to_the_previous_and_the_next():
    points = torch.tensor([[0.0], [10.0], [1.0], [11.0]])
    knn = KNNGraph.build(points, k=1)
    graph = spatiotemporal_graph(
        knn, np.array([0, 2, 4, 6]), n_sensors=7, knn_weight=2.0, temporal_weight=0.5
    )
    near = round(2 * float(np.exp(-0.5)), 4)
    assert links_of(graph) == [
        {2: (1.0, near), 1: (10.0, 0.5)},
        {3: (1.0, near), 2: (9.0, 0.5), 0: (10.0, 0.5)},
        {0: (1.0, near), 1: (9.0, 0.5), 3: (10.0, 0.5)},
        {1: (1.0, near), 2: (10.0, 0.5)},
    ]
    assert graph.indices[0].tolist() == [2, 1, 0]
    assert graph.distances[0].tolist() == [1.0, 10.0, INF]
    assert graph.weights[0, 2] == 0
    assert graph.indices.dtype == knn.indices.dtype


def test_a_link_of_two_kinds_occurs_once_with_both_weights():
    knn = KNNGraph.build(torch.tensor([[0.0], [1.0], [5.0]]), k=1)
    graph = spatiotemporal_graph(knn, np.array([3, 4, 5]), n_sensors=1)
    near = round(float(np.exp(-0.5)), 4)
    assert links_of(graph)[0] == {1: (1.0, round(near + 1, 4))}
    assert graph.components()[0] == 1


def test_sensor_time_windows_link_sensors_at_the_same_start():
    strengths = np.array([[0, 0.9, 0.2], [0.9, 0, 0], [0.2, 0, 0]], dtype=np.float32)
    # Starts 0 and 5 with sensors 0, 1, 2; sensor 2 is absent at start 5.
    ids = np.array([0, 1, 2, 15, 16])
    knn = KNNGraph.build(torch.tensor([[0.0], [10.0], [20.0], [0.5], [10.5]]), k=1)
    graph = spatiotemporal_graph(
        knn, ids, granularity="sensor", n_sensors=3, links=strengths, sensor_weight=10.0, knn_weight=0.0
    )
    assert links_of(graph) == [
        {3: (0.5, 1.0), 1: (10.0, 9.0), 2: (20.0, 2.0)},
        {4: (0.5, 1.0), 0: (10.0, 9.0)},
        {4: (9.5, 0.0), 0: (20.0, 2.0)},
        {0: (0.5, 1.0), 4: (10.0, 9.0)},
        {1: (0.5, 1.0), 3: (10.0, 9.0)},
    ]
    assert (graph.distances.diff(dim=1).nan_to_num(0) >= 0).all()
    rows, weights = sensor_rows(ids, n_sensors=3, links=strengths, count=1)
    assert rows.tolist() == [[1], [0], [0], [4], [3]]
    np.testing.assert_allclose(weights[:, 0], [0.9, 0.9, 0.2, 0.9, 0.9], rtol=1e-6)


def test_temporal_rows_respect_gaps_hops_and_sensors():
    ids = np.array([0, 4, 8, 20, 24])
    assert temporal_rows(ids, granularity="network", n_sensors=9, hops=2).tolist() == [
        [-1, 1, -1, 2],
        [0, 2, -1, -1],
        [1, -1, 0, -1],
        [-1, 4, -1, -1],
        [3, -1, -1, -1],
    ]
    ids = np.array([0, 1, 4, 5, 9])
    assert temporal_rows(ids, granularity="sensor", n_sensors=2).tolist() == [
        [-1, 2],
        [-1, 3],
        [0, -1],
        [1, 4],
        [3, -1],
    ]


@pytest.mark.parametrize(
    ("metric", "size"),
    [("euclidean", 1), ("euclidean", 2.0**50), ("cosine", 1), ("inner", 1), ("inner", 2.0**45)],
)
def test_distances_of_new_links_equal_those_of_the_search(metric, size):
    points = size * torch.randn(60, 5, generator=torch.Generator().manual_seed(0))
    few = KNNGraph.build(points, k=3, metric=metric)
    all_pairs = KNNGraph.build(points, k=59, metric=metric)
    graph = spatiotemporal_graph(few, np.arange(60), n_sensors=2, temporal_hops=2)
    for row, found in enumerate(links_of(graph)):
        expected = {
            int(j): d for j, d in zip(all_pairs.indices[row], all_pairs.distances[row].tolist(), strict=True)
        }
        wanted = {int(j) for j in few.indices[row]} | {row + o for o in (-2, -1, 1, 2) if 0 <= row + o < 60}
        assert set(found) == wanted
        for j, (distance, _) in found.items():
            assert distance == pytest.approx(expected[j], rel=1e-4, abs=1e-4)
    assert torch.equal(graph.distances, graph.distances.sort(dim=1).values)


def test_bad_input_is_rejected():
    knn = KNNGraph.build(torch.tensor([[0.0], [1.0], [5.0]]), k=1)
    with pytest.raises(InputError, match="3 samples but 2 ids"):
        spatiotemporal_graph(knn, np.array([0, 1]), n_sensors=1)
    with pytest.raises(InputError, match="temporal_weight is -1"):
        spatiotemporal_graph(knn, np.arange(3), n_sensors=1, temporal_weight=-1)
    with pytest.raises(InputError, match=r"pass strengths \[3, 3\]"):
        spatiotemporal_graph(knn, np.arange(3), n_sensors=3, granularity="sensor", links=np.eye(2))


def test_strengths_from_adjacency_distance_and_correlation():
    adjacency = np.array([[5.0, 1.0, np.nan], [2.0, 5.0, 0.0], [0.0, 4.0, 5.0]])
    assert link_strengths(adjacency=adjacency).tolist() == [[0, 0.5, 0], [0.5, 0, 1], [0, 1, 0]]
    distance = np.array([[0.0, 1.0, 9.0], [1.0, 0.0, 2.0], [9.0, 2.0, 0.0]])
    sigma = np.std([1, 9, 1, 2, 9, 2])
    expected = np.exp(-((distance / sigma) ** 2)) * (distance < 9) * (distance > 0)
    np.testing.assert_allclose(link_strengths(distance_km=distance), expected, rtol=1e-6)
    correlation = np.array([[1, -0.5, 0.7], [-0.5, 1, np.nan], [0.7, np.nan, 1]])
    np.testing.assert_allclose(
        link_strengths(correlation=correlation), [[0, 0, 0.7], [0, 0, 0], [0.7, 0, 0]], rtol=1e-6
    )
    assert link_strengths() is None
    assert link_strengths(adjacency=np.zeros((2, 2))).tolist() == [[0, 0], [0, 0]]
