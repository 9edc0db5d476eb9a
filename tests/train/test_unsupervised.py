"""Labels inferred from embeddings: separate groups are found, and a whole job runs without the labels of the data."""

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment

from graphprune.config.load import parse_config
from graphprune.data.images import load_sklearn
from graphprune.errors import InputError
from graphprune.jobs.pipeline import run
from graphprune.select.base import Selection
from graphprune.train.paradigms.unsupervised import Unsupervised, soft_labels


def agreement(found, truth) -> float:
    table = np.zeros((found.max() + 1, truth.max() + 1))
    np.add.at(table, (found, truth), 1)
    return table[linear_sum_assignment(-table)].sum() / len(truth)


def groups(n=120, classes=4):
    draws = np.random.default_rng(0)
    truth = np.arange(n) % classes
    centers = draws.normal(size=(classes, 6)) * 4
    return torch.from_numpy((centers[truth] + draws.normal(size=(n, 6))).astype(np.float32)), truth


def test_separate_groups_become_the_labels_and_two_spaces_work_together():
    space, truth = groups()
    paradigm = Unsupervised(iterations=60)
    one = paradigm.find_labels([space], 4, seed=0).numpy()
    assert agreement(one, truth) > 0.95
    assert np.array_equal(one, paradigm.find_labels([space], 4, seed=0).numpy())
    assert agreement(paradigm.find_labels([space, space[:, :4]], 4, seed=0).numpy(), truth) > 0.9


def test_the_labeling_is_the_mean_of_the_spaces_with_normalized_columns():
    draws = np.random.default_rng(1)
    spaces = [draws.normal(size=(5, d)) for d in (3, 2)]
    weights = [draws.normal(size=(d, 4)) for d in (3, 2)]
    expected = np.zeros((5, 4))
    for z, w in zip(spaces, weights, strict=True):
        logits = z @ (w / np.sqrt((w**2).sum(axis=0)))
        expected += np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True) / 2
    found = soft_labels([torch.from_numpy(z) for z in spaces], [torch.from_numpy(w) for w in weights])
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-12)


def test_bad_options_are_rejected():
    with pytest.raises(InputError, match="paradigm 'unsupervised': classes must be an integer from 2"):
        Unsupervised(classes=1)
    with pytest.raises(InputError, match="3 samples cannot make 4 classes"):
        Unsupervised().find_labels([torch.zeros(3, 2)], 4, seed=0)


@pytest.fixture
def config(job):
    return {
        **job,
        "data": {"kind": "object"},
        "paradigm": {"name": "unsupervised", "iterations": 40},
        "arms": [{"name": "half", "score": "dynamic_uncertainty", "rule": "top_per_class"}],
    }


def test_the_labels_of_the_data_affect_training_but_not_the_selection(tmp_path, config):
    kept, metrics = [], []
    for name in ("given", "wrong"):
        data = load_sklearn("digits", limit=150)
        if name == "wrong":
            data.train.labels = (data.train.labels * 3 + 1) % 10
            object.__setattr__(data, "fingerprint", "wrong")
        metrics.append(run(parse_config(config), tmp_path / name, data=data))
        kept.append(Selection.from_parquet(tmp_path / name / "selections/half.parquet").ids.tolist())
        labels = np.load(tmp_path / name / "labels.npy")
        assert labels.shape == (120,)
    assert kept[0] == kept[1]
    values = [m["training"]["full"]["value"] for m in metrics]
    assert values[0] != values[1]
    assert "labels" in metrics[0]["cost"]
    spent = [m["training"]["half"]["total_seconds"] for m in metrics]
    assert all(seconds > m["cost"]["labels"]["seconds"] for seconds, m in zip(spent, metrics, strict=True))


def test_warm_starts_from_other_labels_are_rejected(config):
    with pytest.raises(InputError, match="init: seed cannot be combined with paradigm unsupervised"):
        parse_config({**config, "training": {"init": "seed"}})


def test_the_model_of_the_seed_run_is_not_a_reference_for_other_labels(config):
    arms = [{"name": "jest", "sampler": {"name": "jest", "reference_losses": "run"}}]
    with pytest.raises(
        InputError, match="reference_losses: run cannot be combined with paradigm unsupervised"
    ):
        parse_config({**config, "arms": arms})
