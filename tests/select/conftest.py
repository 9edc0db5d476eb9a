"""A small data set for every rule: three clusters, one class each, and their kNN graph."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from graphprune.graph.knn import KNNGraph
from graphprune.table import ScoreTable


def brute_force_graph(points: np.ndarray, k: int) -> KNNGraph:
    """Euclidean kNN by a full distance matrix; a missing link is the row itself at distance inf."""
    gaps = np.linalg.norm(points[:, None] - points[None], axis=2)
    np.fill_diagonal(gaps, np.inf)
    gaps = np.pad(gaps, ((0, 0), (0, k)), constant_values=np.inf)
    order = np.argsort(gaps, axis=1, kind="stable")[:, :k]
    distances = np.take_along_axis(gaps, order, axis=1).astype(np.float32)
    order = np.where(np.isinf(distances), np.arange(len(points))[:, None], order)
    return KNNGraph(torch.from_numpy(order), torch.from_numpy(distances))


def make_data(n: int = 120, seed: int = 0) -> SimpleNamespace:
    """Points, labels, a graph, and scores with ids that are not row numbers."""
    rng = np.random.default_rng(seed)
    labels = np.sort(rng.integers(0, 3, n))
    points = rng.normal(size=(n, 5)) + 6 * labels[:, None]
    ids = np.sort(rng.choice(10 * n, n, replace=False)).astype(np.int64)
    table = ScoreTable(ids, rng.normal(size=n).astype(np.float32), True)
    inputs: dict[str, Any] = {
        "labels": labels,
        "graph": brute_force_graph(points, 8),
        "embeddings": torch.from_numpy(points).float(),
    }
    second = ScoreTable(ids, rng.random(n).astype(np.float32), True)
    return SimpleNamespace(
        n=n, ids=ids, table=table, points=points, labels=labels, inputs=inputs, second=second
    )


@pytest.fixture(scope="session")
def make() -> Callable[..., SimpleNamespace]:
    return make_data


@pytest.fixture(scope="session")
def data() -> SimpleNamespace:
    return make_data()
