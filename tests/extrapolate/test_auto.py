"""The default extrapolator, and the evaluation passes that the seed run adds for it."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import rankdata, spearmanr

from graphprune.config.load import load_config
from graphprune.extrapolate.auto import Auto, rank_by_group
from graphprune.extrapolate.base import EpochSignals
from graphprune.extrapolate.gcn import GCN
from graphprune.files import read_json
from graphprune.jobs.pipeline import run
from graphprune.jobs.stages.looks import late_visits

from .conftest import Problem

TINY = Path(__file__).parents[1] / "tiny.yaml"


def test_ranks_are_taken_within_each_group():
    columns = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    group = torch.arange(50) % 3 == 0
    ranked = rank_by_group(columns, group).numpy()
    for rows in (group.numpy(), ~group.numpy()):
        for column in range(2):
            values = columns[:, column].numpy()[rows]
            expected = (rankdata(values) - 0.5) / rows.sum()
            np.testing.assert_allclose(ranked[rows, column], expected, rtol=1e-6)


def test_optimistic_signals_of_the_seeds_change_nothing(problem: Problem):
    """Seeds appear easier than others; a monotone change of their signals must not change a prediction."""
    seeds = torch.from_numpy(np.searchsorted(problem.inputs.sample_ids, problem.seeds))
    draws = torch.Generator().manual_seed(4)
    p, entropy = torch.rand(2, 2, problem.inputs.n, generator=draws)
    optimistic = p.clone()
    optimistic[:, seeds] = optimistic[:, seeds].sqrt()
    found = []
    for each in (p, optimistic):
        inputs = dataclasses.replace(problem.inputs, seed_run=EpochSignals(p_true=each, entropy=entropy))
        found.append(Auto().fit(inputs, problem.seeds, problem.seed_scores).predict()[problem.unseen])
    np.testing.assert_array_equal(*found)


def test_signals_that_need_no_fit_count(problem: Problem):
    """If the seeds' scores are noise, the order still follows p (1 - p) and 1 - p."""
    inputs, unseen = problem.inputs, problem.unseen
    noise = np.random.default_rng(0).normal(size=len(problem.seeds)).astype(np.float32)
    found = Auto().fit(inputs, problem.seeds, noise).predict()
    p = inputs.probes.gather(2, inputs.labels.expand(3, -1)[:, :, None])[:, :, 0].mean(dim=0).numpy()
    total = rankdata((p * (1 - p))[unseen]) + rankdata((1 - p)[unseen])
    assert spearmanr(found[unseen], total).statistic > 0.7


def test_signals_that_contradict_the_fit_are_left_out(problem: Problem):
    """The score rises with p, so adding 1 - p to the fit would cancel it."""
    n = problem.inputs.n
    p = torch.rand(1, n, generator=torch.Generator().manual_seed(3))
    inputs = dataclasses.replace(problem.inputs, seed_run=EpochSignals(p_true=p, entropy=torch.zeros(1, n)))
    rows = np.searchsorted(inputs.sample_ids, problem.seeds)
    found = Auto().fit(inputs, problem.seeds, p[0, rows].numpy()).predict()[problem.unseen]
    assert spearmanr(found, p[0, problem.unseen]).statistic > 0.4


def test_missed_visits_take_the_signals_of_the_last_one(problem: Problem):
    p = torch.rand(2, problem.inputs.n, generator=torch.Generator().manual_seed(5))
    holes = p.clone()
    holes[0, ::3] = float("nan")
    filled = p.clone()
    filled[0, ::3] = p[1, ::3]
    predictions = [
        Auto().fit(
            dataclasses.replace(problem.inputs, seed_run=EpochSignals(p_true=each, entropy=1 - each)),
            problem.seeds,
            problem.seed_scores,
        )
        for each in (holes, filled)
    ]
    np.testing.assert_array_equal(*(each.predict() for each in predictions))


def test_windows_use_the_errors_of_the_seed_model(problem: Problem):
    """The errors order the scores, but not linearly; without errors the method would be the GCN."""
    errors = torch.from_numpy(problem.scores).double().exp()
    windows = dataclasses.replace(problem.inputs, labels=None, probes=None, seed_errors=errors)
    found = Auto().fit(windows, problem.seeds, problem.seed_scores).predict()[problem.unseen]
    assert spearmanr(found, problem.scores[problem.unseen]).statistic > 0.97


def test_without_classes_and_errors_it_is_the_gcn(problem: Problem):
    bare = dataclasses.replace(problem.inputs, labels=None, probes=None, short_run=None, seed_errors=None)
    found = Auto(seed=2).fit(bare, problem.seeds, problem.seed_scores).predict()
    expected = GCN(seed=2).fit(bare, problem.seeds, problem.seed_scores).predict()
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("epochs", "rate", "visits"), [(30, 0.0, 0), (30, 0.02, 0), (30, 1 / 9, 1), (30, 3 / 19, 2), (30, 5.0, 2)]
)
def test_only_late_training_visits_count(epochs: int, rate: float, visits: int):
    """A rate of 3 / 19 is three other samples per seed at 5 % seeds; 1 / 9 is one per seed at 10 %."""
    assert late_visits(epochs, rate) == visits


@pytest.mark.parametrize("background", [0, 1.5])
def test_the_seed_run_evaluates_all_samples_and_the_ledger_counts_it(tmp_path, background):
    config = load_config(
        TINY,
        (
            "oracle=null",
            "arms=[]",
            "training.random_states=[0]",
            "controls=false",
            "short_run=null",
            "extrapolators=[auto, knn]",
            "scores=[{name: tdds, T: 6, window: 4}]",
            f"seeds.background={background}",
        ),
    )
    metrics = run(config, tmp_path / "run")
    n, seeds = metrics["dataset"]["n"], metrics["seeds"]["n"]
    p_true = np.load(tmp_path / "run/looks/p_true.npy")
    assert p_true.shape == (5 if background else 3, n)
    assert np.isfinite(p_true[-3:]).all()
    ledger = read_json(tmp_path / "run/ledger.json")
    assert ledger["seed_looks"]["forward_samples"] == 3 * n
    assert ledger["seed_training"]["trained_samples"] == 6 * (seeds + round(background * seeds))
    methods, trained = (
        metrics["extrapolation"]["tdds"]["methods"],
        3 * ledger["seed_training"]["trained_samples"],
    )
    # auto needs three evaluation passes and no graph; kNN's graph needs one embedding pass.
    assert methods["auto"]["cost_passes"] == pytest.approx((trained + 3 * n) / (3 * n * 6))
    assert methods["knn"]["cost_passes"] == pytest.approx((trained + n) / (3 * n * 6))
