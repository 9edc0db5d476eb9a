"""Every score of class probabilities against a slow loop over samples and their own visits."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from graphprune.errors import InputError
from graphprune.registry import create
from graphprune.scores.base import Signals
from graphprune.scores.recorder import Recorder


def softmax(z):
    e = np.exp(z - z.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def slow_dynamic_uncertainty(p, *, window, ddof, skip, epochs, last_window):
    p = [value for value, epoch in zip(p, epochs, strict=True) if epoch >= skip]
    stds = [np.std(p[k : k + window], ddof=ddof) for k in range(len(p) - window + last_window)]
    return np.mean(stds) if stds else 0.0


def slow_tdds(rows, *, T, window, decay, epochs, **_):
    rows = [row for row, epoch in zip(rows, epochs, strict=True) if epoch < T]
    score = 0.0
    count = len(rows) - window + 1
    for k in range(count):
        kl = []
        for j in range(k, k + window - 1):
            kl.append(
                sum(
                    abs(b * (math.log(b + 1e-8) - math.log(a + 1e-8)))
                    for a, b in zip(*rows[j : j + 2], strict=True)
                )
            )
        score += (
            decay * (1 - decay) ** (count - 1 - k) * math.sqrt(sum((d - sum(kl) / len(kl)) ** 2 for d in kl))
        )
    return score


def slow_dual(p, *, T, window, epochs, **_):
    p = [value for value, epoch in zip(p, epochs, strict=True) if epoch < T]
    parts = []
    for k in range(len(p) - window + 1):
        parts.append(np.std(p[k : k + window], ddof=1) * (1 - np.mean(p[k : k + window])))
    return np.mean(parts) if parts else 0.0


def slow_forgetting(correct, run_epochs):
    if not correct:
        return 0
    if not any(correct):
        return run_epochs
    return sum(a and not b for a, b in pairwise(correct))


@st.composite
def runs(draw):
    epochs = draw(st.integers(5, 16))
    window = draw(st.integers(3, epochs - 1))
    return {
        "seed": draw(st.integers(0, 2**32)),
        "n": draw(st.integers(1, 6)),
        "classes": draw(st.integers(2, 5)),
        "epochs": epochs,
        "window": window,
        "T": draw(st.integers(window, epochs)),
        "skip": draw(st.integers(0, epochs - window - 1)),
        "ddof": draw(st.integers(0, 1)),
        "decay": draw(st.floats(0.05, 1.0)),
        "scale": draw(st.sampled_from([0.1, 2.0, 15.0])),
        "visited": draw(st.sampled_from([1.0, 0.8, 0.2])),
    }


SELDOM_VISITED = {
    "seed": 1,
    "n": 6,
    "classes": 3,
    "epochs": 6,
    "window": 3,
    "T": 5,
    "skip": 1,
    "ddof": 1,
    "decay": 0.9,
    "scale": 2.0,
    "visited": 0.2,
}


@settings(max_examples=40, deadline=None)
@given(runs())
@example(SELDOM_VISITED)
def test_streaming_scores_equal_slow_loops(case):
    rng = np.random.default_rng(case["seed"])
    n, C, E, T = case["n"], case["classes"], case["epochs"], case["T"]
    logits = (case["scale"] * rng.normal(size=(E, n, C))).astype(np.float32)
    features = rng.normal(size=(E, n, 3)).astype(np.float32)
    labels = rng.integers(0, C, n)
    visited = rng.random((E, n)) < case["visited"]
    windows = {"window": case["window"]}
    of_du = {**windows, "ddof": case["ddof"], "skip": case["skip"]}
    of_tdds = {**windows, "T": T, "decay": case["decay"]}
    options = {
        "dynamic_uncertainty": of_du,
        "dynamic_uncertainty_online": of_du,
        "tdds": of_tdds,
        "dual": {**windows, "T": T},
        "el2n": {"T": T},
        "grand": {"T": T},
        "forgetting": {},
        "aum": {},
        "loss": {"reduce": "mean"},
        "entropy": {},
        "margin": {"reduce": "mean", "T": T},
        "confidence": {"reduce": "mean"},
    }
    recorder = Recorder(
        {name: create("score", name, **o) for name, o in options.items()},
        torch.arange(n),
        epochs=E,
        num_classes=C,
    )
    for e in range(E):
        rows = torch.from_numpy(np.flatnonzero(visited[e]))
        for phase in recorder.phases:
            recorder.observe(
                phase,
                rows,
                e,
                logits=torch.from_numpy(logits[e])[rows],
                targets=torch.from_numpy(labels)[rows],
                features=torch.from_numpy(features[e])[rows],
            )
    values = recorder.values()

    P = softmax(logits.astype(np.float64))
    for i in range(n):
        y, epochs = labels[i], np.flatnonzero(visited[:, i])
        rows, z, h = (
            P[epochs, i],
            logits[epochs, i].astype(np.float64),
            features[epochs, i].astype(np.float64),
        )
        p, early, onehot = rows[:, y], epochs < T, np.eye(C)[y]
        log_p = [zz[y] - zz.max() - math.log(np.exp(zz - zz.max()).sum()) for zz in z]
        top = np.sort(rows, axis=1)
        outer = [
            np.concatenate([q - onehot, np.outer(q - onehot, hh).ravel()])
            for q, hh in zip(rows, h, strict=True)
        ]
        expected = {
            "dynamic_uncertainty": slow_dynamic_uncertainty(p, epochs=epochs, **of_du, last_window=0),
            "dynamic_uncertainty_online": slow_dynamic_uncertainty(p, epochs=epochs, **of_du, last_window=1),
            "tdds": slow_tdds(rows, epochs=epochs, **of_tdds),
            "dual": slow_dual(p, epochs=epochs, **options["dual"]),
            "el2n": _mean(np.linalg.norm(rows - onehot, axis=1)[early]),
            "grand": _mean([np.linalg.norm(g) for g, use in zip(outer, early, strict=True) if use]),
            "forgetting": slow_forgetting([int(np.argmax(zz)) == y for zz in z], E),
            "aum": -_mean([zz[y] - max(zz[c] for c in range(C) if c != y) for zz in z]),
            "loss": _mean(-np.array(log_p)),
            "entropy": -sum(q * math.log(q) for q in rows[-1] if q > 0) if len(rows) else 0.0,
            "margin": _mean((1 - (top[:, -1] - top[:, -2]))[early]),
            "confidence": _mean(1 - p),
        }
        for name, value in expected.items():
            tolerance = {"rtol": 1e-4, "atol": 2e-5}
            np.testing.assert_allclose(values[name][i].item(), value, err_msg=f"{name} of {i}", **tolerance)


def _mean(values):
    return float(np.mean(values)) if len(values) else 0.0


def test_small_changes_near_certainty_are_not_lost_to_cancellation():
    # In float32, sums of squares of such values contain no correct digit of the variance.
    rng = np.random.default_rng(0)
    p = (0.9999 + 2e-5 * rng.random((14, 50))).astype(np.float32)
    score = create("score", "dynamic_uncertainty", window=5)
    score.start(50, epochs=14, num_classes=2)
    for epoch in range(14):
        score.update(torch.arange(50), Signals(p_true=torch.from_numpy(p[epoch])), epoch)
    expected = np.mean([np.std(p[k : k + 5].astype(np.float64), axis=0, ddof=1) for k in range(9)], axis=0)
    np.testing.assert_allclose(score.values().numpy(), expected, rtol=5e-3)


def test_uncertainty_of_forecasts_reads_the_loss():
    losses = np.random.default_rng(0).gamma(1.0, size=(9, 4)).astype(np.float32)
    score = create("score", "dynamic_uncertainty", window=4)
    score.start(4, epochs=9, num_classes=None)
    assert score.needs == {"loss"}
    for epoch in range(9):
        score.update(torch.arange(4), Signals(loss=torch.from_numpy(losses[epoch])), epoch)
    expected = np.mean([np.std(losses[k : k + 4], axis=0, ddof=1) for k in range(5)], axis=0)
    np.testing.assert_allclose(score.values().numpy(), expected, rtol=1e-5)
    with pytest.raises(InputError, match="needs classes"):
        create("score", "dynamic_uncertainty", signal="p_true").start(4, epochs=20, num_classes=None)
    with_classes = create("score", "dynamic_uncertainty", signal="loss")
    with_classes.start(4, epochs=20, num_classes=3)
    assert with_classes.needs == {"loss"}


@pytest.mark.parametrize(
    ("name", "options", "epochs", "message"),
    [
        (
            "dynamic_uncertainty",
            {},
            10,
            "10 epochs.*window of 10; train at least 11 epochs or set window to at most 9",
        ),
        ("dynamic_uncertainty_online", {}, 11, "11 epochs, 2 of them skipped.*train at least 12 epochs"),
        ("dynamic_uncertainty", {"window": 3, "ddof": 3}, 10, "ddof is 3 but window is 3"),
        (
            "dynamic_uncertainty",
            {"window": "ten"},
            10,
            "window must be an integer from 2 to .*received 'ten'",
        ),
        (
            "dynamic_uncertainty",
            {"signal": "margin"},
            20,
            "signal must be 'auto', 'p_true' or 'loss' \\(received 'margin'",
        ),
        ("tdds", {}, 9, "the run has 9 epochs but T is 10"),
        ("tdds", {"T": 8}, 9, "8 epochs cannot fill a window of 10"),
        ("tdds", {"T": "all"}, 9, "9 epochs cannot fill a window of 10"),
        ("tdds", {"T": "every"}, 9, "T must be an integer .* or 'all' \\(received 'every'"),
        ("tdds", {"window": 2}, 20, "window must be an integer from 3 to"),
        ("tdds", {"decay": 0.0}, 20, "decay must be a number above 0 and at most 1"),
        ("tdds", {"row_dtype": "int8"}, 20, "row_dtype must be 'float32' or 'float16'"),
        ("dual", {}, 20, "the run has 20 epochs but T is 30"),
        ("el2n", {"T": 0}, 20, "T must be an integer from 1"),
        ("loss", {"reduce": "sum"}, 20, "reduce must be 'last' or 'mean'"),
    ],
)
def test_arguments_that_do_not_fit_are_refused(name, options, epochs, message):
    with pytest.raises(InputError, match=message):
        create("score", name, **options).start(5, epochs=epochs, num_classes=3)


@pytest.mark.parametrize("name", ["tdds", "entropy", "el2n", "confidence", "dual", "aum"])
def test_scores_of_probabilities_refuse_data_without_classes(name):
    with pytest.raises(InputError, match="no classes"):
        create("score", name).start(5, epochs=40, num_classes=None)
