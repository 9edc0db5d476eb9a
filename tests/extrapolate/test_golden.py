"""Predictions against slow references written here: numpy loops and dense matrices."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from graphprune.errors import InputError
from graphprune.extrapolate.controls.class_mean import ClassMean
from graphprune.extrapolate.controls.mlp import MLP
from graphprune.extrapolate.controls.ridge import Ridge
from graphprune.extrapolate.features import node_features
from graphprune.extrapolate.gcn import GCN, receptive_field
from graphprune.extrapolate.knn import KNN
from graphprune.extrapolate.network import Dropout
from graphprune.graph.propagate import gcn_table

from .conftest import Problem


def rows_of(problem: Problem) -> np.ndarray:
    return np.searchsorted(problem.inputs.sample_ids, problem.seeds)


def dense_adjacency(problem: Problem) -> np.ndarray:
    """D^-1/2 (A + I) D^-1/2 with A[i, j] = exp(-d / 2) for each neighbor j of i."""
    graph, n = problem.inputs.graph, problem.inputs.n
    a = np.eye(n)
    for i in range(n):
        for j, d in zip(graph.indices[i].tolist(), graph.distances[i].tolist(), strict=True):
            a[i, j] += np.exp(-d / 2)
    degree = a.sum(axis=1)
    return a / np.sqrt(degree[:, None] * degree[None, :])


@pytest.mark.parametrize("normalize", [False, True])
@pytest.mark.parametrize("labels", [False, True])
def test_knn(problem: Problem, normalize: bool, labels: bool) -> None:
    method = KNN(k=5, temperature=0.5, normalize=normalize, labels=labels)
    values, std = method.fit(problem.inputs, problem.seeds, problem.seed_scores).predict(return_std=True)
    x = problem.inputs.embeddings.numpy().astype(np.float64)
    if normalize:
        x = x / np.linalg.norm(x, axis=1, keepdims=True)
    if labels:
        x = np.concatenate([x, np.eye(4)[problem.inputs.labels.numpy()]], axis=1)
    seeds = rows_of(problem)
    for i in problem.unseen[:60]:
        d = np.sqrt(((x[seeds] - x[i]) ** 2).sum(axis=1))
        near = np.argsort(d, kind="stable")[:5]
        w = np.exp(-d[near] / 0.5)
        w /= w.sum()
        s = problem.seed_scores[near].astype(np.float64)
        assert values[i] == pytest.approx(w @ s, rel=1e-4)
        assert std[i] == pytest.approx(np.sqrt(w @ (s - w @ s) ** 2), rel=1e-3, abs=1e-6)


def test_knn_far_from_everything_does_not_underflow(problem: Problem) -> None:
    far = problem.inputs.embeddings * 1e4
    inputs = dataclasses.replace(problem.inputs, embeddings=far)
    method = KNN(k=5, normalize=False, labels=True)
    assert np.isfinite(method.fit(inputs, problem.seeds, problem.seed_scores).predict()).all()


def test_class_mean(problem: Problem) -> None:
    values, std = ClassMean().fit(problem.inputs, problem.seeds, problem.seed_scores).predict(return_std=True)
    labels, seeds = problem.inputs.labels.numpy(), rows_of(problem)
    for i in problem.unseen[:20]:
        same = problem.seed_scores[labels[seeds] == labels[i]]
        assert values[i] == pytest.approx(same.mean(), rel=1e-5)
        assert std[i] == pytest.approx(same.std(ddof=1), rel=1e-4)
    some = problem.seeds[labels[seeds] != 2]
    scores = problem.seed_scores[labels[seeds] != 2]
    values, std = ClassMean().fit(problem.inputs, some, scores).predict(return_std=True)
    unseen = np.flatnonzero((labels == 2) & ~np.isin(np.arange(len(labels)), rows_of(problem)))
    np.testing.assert_allclose(values[unseen], scores.mean(), rtol=1e-5)
    np.testing.assert_allclose(std[unseen], scores.std(ddof=1), rtol=1e-4)


def test_ridge(problem: Problem) -> None:
    alphas = (0.5, 5.0, 50.0)
    method = Ridge(alphas=alphas).fit(problem.inputs, problem.seeds, problem.seed_scores)
    x = np.concatenate([np.eye(4)[problem.inputs.labels.numpy()], problem.inputs.embeddings.numpy()], axis=1)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    seeds, y = rows_of(problem), problem.seed_scores.astype(np.float64)

    def solve(rows: np.ndarray, target: np.ndarray, alpha: float) -> tuple[np.ndarray, np.ndarray, float]:
        center = x[rows].mean(axis=0)
        z = x[rows] - center
        beta = np.linalg.solve(z.T @ z + alpha * np.eye(z.shape[1]), z.T @ (target - target.mean()))
        return beta, center, target.mean()

    errors = []
    for alpha in alphas:
        left_out = []
        for m in range(len(seeds)):
            keep = np.arange(len(seeds)) != m
            beta, center, mean = solve(seeds[keep], y[keep], alpha)
            left_out.append(mean + (x[seeds[m]] - center) @ beta - y[m])
        errors.append(np.mean(np.square(left_out)))
    best = int(np.argmin(errors))
    assert method.alpha_ == alphas[best]
    assert method.loo_std_ == pytest.approx(np.sqrt(errors[best]), rel=1e-3)
    beta, center, mean = solve(seeds, y, alphas[best])
    values = method.predict()
    np.testing.assert_allclose(
        values[problem.unseen], mean + (x[problem.unseen] - center) @ beta, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("ordered", [False, True])
def test_gcn_equals_dense_layers(problem: Problem, ordered: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if ordered:
        monkeypatch.setattr("graphprune.extrapolate.gcn._ORDERED_FROM", 0)
    method = GCN(steps=30, hidden=(16, 8), lr=0.01, precision="float32")
    values = method.fit(problem.inputs, problem.seeds, problem.seed_scores).predict()
    a = dense_adjacency(problem)
    h = node_features(problem.inputs, ("label", "embedding")).numpy().astype(np.float64)
    weights = [w.detach().numpy().astype(np.float64) for w in method.network_.weights]
    biases = [b.detach().numpy().astype(np.float64) for b in method.network_.biases]
    for layer, (w, b) in enumerate(zip(weights, biases, strict=True)):
        h = a @ h @ w + b
        if layer < 2:
            h = np.maximum(h, 0)
    y = problem.seed_scores.astype(np.float64)
    expected = h[:, 0] * y.std(ddof=1) + y.mean()
    np.testing.assert_allclose(values[problem.unseen], expected[problem.unseen], rtol=1e-4, atol=1e-5)


def test_receptive_field_contains_everything_that_rows_depend_on(problem: Problem) -> None:
    indices, weights = gcn_table(problem.inputs.graph.indices, problem.inputs.graph.link_weights())
    rows = torch.tensor([5, 17, 250])
    blocks, sources = receptive_field(indices, weights, rows, 2)
    assert len(sources) < problem.inputs.n
    x = torch.randn(problem.inputs.n, 3, generator=torch.Generator().manual_seed(0))
    y = blocks[1](blocks[0](x[sources]))
    a = dense_adjacency(problem)
    np.testing.assert_allclose(y.numpy(), (a @ a @ x.numpy())[rows.numpy()], rtol=1e-4, atol=1e-5)


def test_gcn_in_bfloat16_is_close(problem: Problem) -> None:
    one, other = (
        GCN(steps=60, lr=0.01, hidden=(32, 16), precision=precision)
        .fit(problem.inputs, problem.seeds, problem.seed_scores)
        .predict()
        for precision in ("float32", "bfloat16")
    )
    assert np.corrcoef(one[problem.unseen], other[problem.unseen])[0, 1] > 0.97


def test_the_best_weights_on_held_out_seeds_are_kept(problem: Problem) -> None:
    """The same training, stopped later, cannot end worse on them: only better weights replace earlier ones."""
    reached = [
        MLP(steps=steps, patience=1000, lr=0.02).fit(problem.inputs, problem.seeds, problem.seed_scores)
        for steps in (20, 100, 300)
    ]
    scores = [method.heldout_pearson_ for method in reached]
    assert scores == sorted(scores)
    assert scores[-1] > scores[0]
    assert 0 < reached[-1].steps_ < 300
    short = MLP(steps=100_000, patience=30).fit(problem.inputs, problem.seeds, problem.seed_scores)
    assert short.steps_ < 5000


def test_rank_loss_orders_and_keeps_the_scale(problem: Problem) -> None:
    values = (MLP(loss="rank", steps=300).fit(problem.inputs, problem.seeds, problem.seed_scores).predict())[
        problem.unseen
    ]
    truth = problem.scores[problem.unseen]
    assert np.corrcoef(values.argsort().argsort(), truth.argsort().argsort())[0, 1] > 0.7
    assert abs(values.mean() - truth.mean()) < 0.3 * truth.std()
    assert 0.4 < values.std() / truth.std() < 1.5


def test_dropout_keeps_the_expectation() -> None:
    torch.manual_seed(0)
    layer = Dropout(0.25)
    x = torch.ones(100_000)
    y = layer(x)
    assert float((y == 0).float().mean()) == pytest.approx(0.25, abs=0.01)
    assert float(y.mean()) == pytest.approx(1.0, abs=0.01)
    assert torch.equal(layer.eval()(x), x)


def test_probe_and_graph_features(problem: Problem) -> None:
    raw = problem.inputs
    x = node_features(raw, ("density", "agreement", "probes"))
    assert x.shape == (raw.n, 1 + 1 + 3 * 4)
    labels = raw.labels.numpy()
    agreement = [(labels[raw.graph.indices[i].numpy()] == labels[i]).mean() for i in range(raw.n)]
    assert np.corrcoef(x[:, 1].numpy(), agreement)[0, 1] == pytest.approx(1.0, abs=1e-5)
    own = [float(raw.probes[1, i, labels[i]]) for i in range(raw.n)]
    assert np.corrcoef(x[:, 2 + 4].numpy(), own)[0, 1] == pytest.approx(1.0, abs=1e-5)
    with pytest.raises(InputError, match="probes"):
        node_features(dataclasses.replace(raw, probes=None), ("probes",))
    with pytest.raises(InputError, match="did you mean 'density'"):
        node_features(raw, ("densty",))
