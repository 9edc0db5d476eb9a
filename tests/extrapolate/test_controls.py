"""The controls without a fit, against SciPy's ranks."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import rankdata, spearmanr

from graphprune import registry
from graphprune.extrapolate.base import EpochSignals
from graphprune.extrapolate.controls.ranks import quantile
from graphprune.extrapolate.knn import KNN
from graphprune.runtime.math import middle_rank

from .conftest import Problem


def predict(name: str, problem: Problem, **inputs: torch.Tensor) -> np.ndarray:
    method = registry.create("extrapolator", name)
    changed = dataclasses.replace(problem.inputs, **inputs)
    return method.fit(changed, problem.seeds, problem.seed_scores).predict()


def signals(problem: Problem) -> dict[str, np.ndarray]:
    """Each control's signal from its definition, one sample at a time."""
    raw = problem.inputs
    probes, labels = raw.probes.double().numpy(), raw.labels.numpy()
    rows, near = range(raw.n), raw.graph.indices.numpy()
    return {
        "seed_confidence": np.array([1 - np.mean([p[i, labels[i]] for p in probes]) for i in rows]),
        "seed_entropy": np.array([np.mean([-(p[i] * np.log(p[i])).sum() for p in probes]) for i in rows]),
        "short_run": 1 - raw.short_run.p_true.double().numpy().mean(axis=0),
        "short_run_el2n": raw.short_run.el2n.double().numpy().mean(axis=0),
        "short_run_variance": np.array([p * (1 - p) for p in raw.short_run.p_true[-1].numpy()]),
        "input_complexity": raw.input_complexity.double().numpy(),
        "seed_errors": raw.seed_errors.double().numpy(),
        "label_disagreement": np.array([(labels[near[i]] != labels[i]).mean() for i in rows]),
    }


@pytest.mark.parametrize(
    "name",
    [
        "seed_confidence",
        "seed_entropy",
        "short_run",
        "short_run_el2n",
        "short_run_variance",
        "label_disagreement",
        "input_complexity",
        "seed_errors",
    ],
)
def test_order_and_scale(name: str, problem: Problem) -> None:
    values, unseen = predict(name, problem), problem.unseen
    signal = signals(problem)[name][unseen]
    # Round signals in double precision, so that they tie where single precision ties.
    signal = signal if signal.dtype == np.float32 else signal.round(6)
    assert spearmanr(values[unseen], signal).statistic == pytest.approx(1.0, abs=1e-6)
    share = (rankdata(signal) - 0.5) / len(unseen)
    expected = np.quantile(problem.seed_scores, share)
    np.testing.assert_allclose(values[unseen], expected, rtol=1e-4, atol=1e-5)


def test_rank_sum_adds_ranks(problem: Problem) -> None:
    values, known = predict("rank_sum", problem), signals(problem)
    # predict() keeps the seeds' measured scores, but the ranks use the kNN predictions for seeds too.
    knn = KNN().fit(problem.inputs, problem.seeds, problem.seed_scores)._predict().numpy()
    parts = known["seed_entropy"].round(7), known["seed_confidence"].round(7), knn
    total = sum(rankdata(part) for part in parts)[problem.unseen]
    assert spearmanr(values[problem.unseen], total).statistic > 0.9999


def test_more_checkpoints_are_averaged(problem: Problem) -> None:
    first = problem.inputs.probes[:1]
    one, three = (predict("seed_confidence", problem, probes=first.repeat(p, 1, 1)) for p in (1, 3))
    np.testing.assert_allclose(one, three, rtol=1e-5)


def test_the_last_half_of_a_short_run_counts() -> None:
    signals = EpochSignals(p_true=torch.tensor([[0.0], [0.2], [0.4], [0.6], [0.8]]))
    assert signals.mean("p_true", last=0.5).item() == pytest.approx(0.7)
    assert signals.mean("p_true", last=0.01).item() == pytest.approx(0.8)


finite = st.floats(-1e3, 1e3, width=32)


@given(values=arrays(np.float32, st.integers(1, 20), elements=finite))
def test_middle_rank_and_quantile(values: np.ndarray) -> None:
    share = middle_rank(torch.from_numpy(values), torch.from_numpy(values)).numpy()
    np.testing.assert_allclose(share, (rankdata(values) - 0.5) / len(values))
    expected = np.quantile(values.astype(np.float64), share)
    np.testing.assert_allclose(
        quantile(torch.from_numpy(values), torch.from_numpy(share)), expected, rtol=1e-4, atol=1e-3
    )
