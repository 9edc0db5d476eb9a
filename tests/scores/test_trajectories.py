"""Scores from logs: equal to a live recording, from memory or from disk, with clear errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from graphprune.errors import InputError
from graphprune.registry import create, entries
from graphprune.scores import trajectories
from graphprune.scores.trajectories import scores_from_trajectories

FROM_PROBS = sorted(
    n for n, e in entries("score").items() if not e.cls.needs & {"features", "errors"}
)  # Dynamic Uncertainty sets ``needs`` when it starts.
FROM_P_TRUE = ["confidence", "dual", "dynamic_uncertainty", "dynamic_uncertainty_online", "loss"]


@pytest.fixture
def log(tools):
    run = tools.make_run(n=10)
    return run, torch.softmax(run.logits, dim=2).numpy(), run.targets.numpy()


@pytest.mark.parametrize("name", FROM_PROBS)
@pytest.mark.parametrize("block", [2**22, 12])
def test_logs_give_the_scores_of_a_live_recording(name, block, log, tools, monkeypatch, tmp_path):
    run, probs, labels = log
    monkeypatch.setattr(trajectories, "_BLOCK", block)
    np.save(tmp_path / "probs.npy", probs)
    on_disk = np.load(tmp_path / "probs.npy", mmap_mode="r")
    values = scores_from_trajectories(create("score", name), labels, probs=on_disk)
    np.testing.assert_allclose(values, tools.record(name, run), rtol=2e-4, atol=2e-6)


@pytest.mark.parametrize("name", FROM_P_TRUE)
def test_true_label_probabilities_are_enough_for_some_scores(name, log):
    _, probs, labels = log
    p_true = probs[:, np.arange(10), labels]
    from_p_true = scores_from_trajectories(create("score", name), p_true=p_true.astype(np.float64))
    from_probs = scores_from_trajectories(create("score", name), labels, probs=probs)
    np.testing.assert_array_equal(from_p_true, from_probs)


@pytest.mark.parametrize("name", sorted(set(entries("score")) - set(FROM_P_TRUE)))
def test_scores_that_need_more_than_the_log_are_refused(name, log):
    _, probs, labels = log
    with pytest.raises(InputError, match=r"needs .* which p_true does not contain; log probs"):
        scores_from_trajectories(create("score", name), labels, p_true=probs[:, :, 0])
    if name not in FROM_PROBS:
        with pytest.raises(InputError, match=r"needs .* which probs does not contain; attach a recorder"):
            scores_from_trajectories(create("score", name), labels, probs=probs)


def test_rounded_logs_give_finite_scores():
    probs = np.zeros((30, 2, 3), dtype=np.float16)
    probs[:, 0, 0] = probs[:, 1, 1] = 1
    for name in FROM_PROBS:
        values = scores_from_trajectories(create("score", name), np.array([0, 2]), probs=probs)
        assert np.isfinite(values).all(), name
    assert scores_from_trajectories(create("score", "loss"), np.array([0, 2]), probs=probs)[1] > 80


def test_bad_logs_are_refused(log):
    _, probs, labels = log
    loss = create("score", "loss")
    ids = np.arange(10) + 100

    def refused(message, labels=labels, ids=ids, **arrays):
        with pytest.raises(InputError, match=message):
            scores_from_trajectories(loss, labels, ids=ids, **arrays)

    def damaged(value, row=7):
        copy = probs.copy()
        copy[3, row, 1] = value
        return copy

    refused("either probs", probs=None)
    refused("either probs", probs=probs, p_true=probs[:, :, 0])
    refused(r"probs has shape \(10, 4\); it must have shape \[E, N, C\]", probs=probs[0])
    refused(r"p_true has shape \(32, 10, 4\); it must have shape \[E, N\]", p_true=probs)
    refused("probs is int64", probs=probs.astype(int))
    refused("in 1 samples, the first is id 107", probs=damaged(np.nan))
    refused("in 1 samples, the first is id 107", probs=damaged(-0.5))
    refused("at epoch 3 in 1 samples, the first is id 102", p_true=damaged(1.5, row=2)[:, :, 1])
    refused("do not sum to 1: at epoch 3 .* id 107", probs=damaged(0.999) * 1.0)
    refused("probs need labels", labels=None, probs=probs)
    refused(
        "labels: 1 are outside 0..3, the first is 4 of id 102", labels=np.where(ids == 102, 4, 0), probs=probs
    )
    refused("labels have shape", labels=labels[:4], probs=probs)
    refused("labels have shape .* float64", labels=labels * 1.0, probs=probs)
    refused("ids have shape", ids=ids[:4], p_true=probs[:, :, 0])
    with pytest.raises(InputError, match="8 epochs but T is 10"):
        scores_from_trajectories(create("score", "tdds"), labels, probs=probs[:8])
