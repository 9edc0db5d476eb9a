"""Graph networks against dense matrices and against PyTorch Geometric on the whole graph at once."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from graphprune.extrapolate.base import Inputs
from graphprune.extrapolate.ensemble import Ensemble
from graphprune.extrapolate.features import node_features
from graphprune.extrapolate.gat import GAT
from graphprune.extrapolate.label_propagation import LabelPropagation
from graphprune.extrapolate.pprgo import PPRGo, personal_pagerank
from graphprune.extrapolate.sage import SAGE
from graphprune.extrapolate.sign import SIGN
from graphprune.graph.knn import KNNGraph

from .conftest import Problem, make_problem
from .test_golden import dense_adjacency, rows_of


def in_units(problem: Problem, outputs: torch.Tensor) -> np.ndarray:
    y = problem.seed_scores.astype(np.float64)
    return (outputs.detach().double().flatten().numpy() * y.std(ddof=1) + y.mean())[problem.unseen]


def test_sign_equals_dense_powers(problem: Problem) -> None:
    method = SIGN(hops=2, steps=20).fit(problem.inputs, problem.seeds, problem.seed_scores)
    a, x = dense_adjacency(problem), node_features(problem.inputs, ("label", "embedding")).numpy()
    columns = torch.from_numpy(np.concatenate([x, a @ x, a @ a @ x], axis=1)).float()
    expected = in_units(problem, method.network_(columns))
    np.testing.assert_allclose(method.predict()[problem.unseen], expected, rtol=1e-4, atol=1e-4)


def test_sage_equals_pyg(problem: Problem) -> None:
    method = SAGE(steps=20, hidden=(16, 8), precision="float32")
    method.fit(problem.inputs, problem.seeds, problem.seed_scores)
    h = node_features(problem.inputs, ("label", "embedding"))
    edges = problem.inputs.graph.to_pyg().edge_index
    for depth, layer in enumerate(method.network_.layers):
        h = layer(torch.relu(h) if depth else h, edges)
    np.testing.assert_allclose(method.predict()[problem.unseen], in_units(problem, h), rtol=1e-4, atol=1e-4)


def test_gat_in_batches_equals_pyg_on_the_whole_graph(problem: Problem) -> None:
    method = GAT(steps=20, hidden=(8,), heads=2).fit(problem.inputs, problem.seeds, problem.seed_scores)
    h = node_features(problem.inputs, ("label", "embedding"))
    edges, n = problem.inputs.graph.to_pyg().edge_index, problem.inputs.n
    edges = torch.cat([edges, torch.arange(n).repeat(2, 1)], dim=1)
    for depth, layer in enumerate(method.network_.layers):
        h = layer(torch.relu(h) if depth else h, edges)
    np.testing.assert_allclose(method.predict()[problem.unseen], in_units(problem, h), rtol=1e-4, atol=1e-4)


def test_pagerank_equals_the_dense_inverse(problem: Problem) -> None:
    graph, n = problem.inputs.graph, problem.inputs.n
    walk = np.zeros((n, n))
    for i in range(n):
        w = np.exp(-graph.distances[i].double().numpy() / 2)
        walk[i, graph.indices[i].numpy()] = w / w.sum()
    exact = 0.3 * np.linalg.inv(np.eye(n) - 0.7 * walk)
    visited, share = personal_pagerank(graph, alpha=0.3, eps=1e-7, top=6)
    for i in range(0, n, 17):
        best = np.sort(exact[i])[::-1][:6]
        np.testing.assert_allclose(np.sort(exact[i, visited[i].numpy()])[::-1], best, rtol=1e-3)
        np.testing.assert_allclose(share[i], exact[i, visited[i].numpy()] / best.sum(), rtol=1e-3)


def test_pprgo_averages_its_network(problem: Problem) -> None:
    method = PPRGo(steps=10).fit(problem.inputs, problem.seeds, problem.seed_scores)
    alone = method.network_(node_features(problem.inputs, ("label", "embedding"))).squeeze(1)
    visited, share = personal_pagerank(problem.inputs.graph, alpha=0.5, eps=1e-4, top=32)
    outputs = torch.stack([alone[v] @ s for v, s in zip(visited, share, strict=True)])
    expected = in_units(problem, outputs)
    np.testing.assert_allclose(method.predict()[problem.unseen], expected, rtol=1e-4, atol=1e-4)


def test_label_propagation_equals_absorbing_walks(problem: Problem) -> None:
    method = LabelPropagation(steps=3000).fit(problem.inputs, problem.seeds, problem.seed_scores)
    values, std = method.predict(return_std=True)
    graph, n, seeds = problem.inputs.graph, problem.inputs.n, rows_of(problem)
    walk = np.zeros((n, n))
    for i in range(n):
        w = np.exp(-graph.distances[i].double().numpy() / 2)
        walk[i, graph.indices[i].numpy()] = w / w.sum()
    free = problem.unseen
    ends = np.linalg.solve(np.eye(len(free)) - walk[np.ix_(free, free)], walk[np.ix_(free, seeds)])
    assert np.allclose(ends.sum(axis=1), 1)
    s = problem.seed_scores.astype(np.float64)
    np.testing.assert_allclose(values[free], ends @ s, rtol=1e-3)
    np.testing.assert_allclose(std[free], np.sqrt(ends @ s**2 - (ends @ s) ** 2), rtol=1e-2, atol=1e-3)


def test_label_propagation_without_any_path_gives_the_mean() -> None:
    x = torch.cat([torch.arange(5.0), torch.arange(5.0) + 100])[:, None]
    inputs = Inputs(KNNGraph.build(x, 2), x)
    values = LabelPropagation().fit(inputs, np.array([0, 2]), np.array([1.0, 3.0])).predict()
    assert values[5:].tolist() == [2.0] * 5
    assert 1 < values[1] < 3


@pytest.mark.parametrize("method", [SIGN, SAGE, GAT, PPRGo])
def test_padded_graphs_are_read_like_shorter_rows(method: type) -> None:
    """Mutual links leave rows of different degree; predictions do not depend on the padding's width."""
    problem = make_problem(120)
    graph = problem.inputs.graph
    links = graph.to_csr(values="distance")
    mutual = KNNGraph.from_csr(links.multiply(links.T > 0), metric=graph.metric, embeddings=graph.embeddings)
    assert mutual.distances.isinf().any()
    own = torch.arange(120, dtype=torch.int32)[:, None]
    wider = dataclasses.replace(
        mutual,
        indices=torch.cat([mutual.indices, own], dim=1),
        distances=torch.cat([mutual.distances, torch.full((120, 1), torch.inf)], dim=1),
    )
    one, other = (
        method(steps=10, **({"top": 8, "eps": 1e-9} if method is PPRGo else {}))
        .fit(dataclasses.replace(problem.inputs, graph=graph), problem.seeds, problem.seed_scores)
        .predict()
        for graph in (mutual, wider)
    )
    np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_ensemble_intervals_cover_and_vary(problem: Problem) -> None:
    problem = make_problem(900, seed=3)
    members = ["knn", {"name": "ridge", "normalize": True}, "label_propagation"]
    method = Ensemble(members=members).fit(problem.inputs, problem.seeds, problem.seed_scores)
    values, std = method.predict(return_std=True)
    error = np.abs(values - problem.scores)[problem.unseen]
    covered = (error <= 1.6449 * std[problem.unseen]).mean()
    assert 0.85 < covered < 0.95
    assert std[problem.unseen].std() > 0
    alone = [
        Ensemble(members=[m, m]).fit(problem.inputs, problem.seeds, problem.seed_scores).predict()
        for m in members
    ]
    np.testing.assert_allclose(values, np.mean(alone, axis=0), rtol=1e-5)
