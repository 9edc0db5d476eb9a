"""Agreement against SciPy, resamples that are ranked again, simulated runs, and every degenerate input."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import pearsonr, rankdata, spearmanr

from graphprune.errors import InputError
from graphprune.evaluation.agreement import evaluate, noise_ceiling, overlap
from graphprune.evaluation.bootstrap import Ranking, pearson, resamples

FIXED_KEYS = ["n", "spearman", "spearman_ci95", "pearson", "kendall", "mse", "overlap"]


def pair(n, seed=0, decimals=6):
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=n)
    return np.round(truth + rng.normal(size=n), decimals), np.round(truth, decimals)


def expanded(weights):
    """The positions in a resample, each repeated by its multiplicity."""
    return np.repeat(np.arange(len(weights)), weights.astype(int))


def tau_b(x, y):
    """Kendall's tau-b from the definition, pair by pair."""
    signs = [(np.sign(x[i] - x[j]), np.sign(y[i] - y[j])) for i in range(len(x)) for j in range(i)]
    concordance = sum(a * b for a, b in signs)
    return concordance / (sum(a != 0 for a, _ in signs) * sum(b != 0 for _, b in signs)) ** 0.5


@settings(max_examples=40, deadline=None)
@given(n=st.integers(3, 60), seed=st.integers(0, 10**6), decimals=st.integers(0, 3))
def test_correlations_equal_scipy(n, seed, decimals):
    predicted, truth = pair(n, seed, decimals)
    agreement = evaluate(predicted, truth, n_bootstrap=0)
    if len(set(predicted)) == 1 or len(set(truth)) == 1:
        assert agreement.reason
        return
    assert agreement.reason is None
    assert agreement.spearman_ci95 is None
    for name, peer in (("spearman", spearmanr), ("pearson", pearsonr)):
        assert getattr(agreement, name) == pytest.approx(peer(predicted, truth).statistic, abs=1e-9), name
    assert agreement.kendall == pytest.approx(tau_b(predicted, truth), abs=1e-9)
    assert agreement.mse == pytest.approx(np.mean((predicted - truth) ** 2))


@pytest.mark.parametrize("decimals", [0, 1, 6])
def test_a_resample_is_ranked_exactly_without_another_sort(decimals):
    predicted, truth = pair(50, decimals=decimals)
    of_predicted, of_truth = Ranking(predicted), Ranking(truth)
    for weights in resamples(50, 30, seed=3):
        assert weights.sum() == 50
        rows = expanded(weights)
        for ranking, values in ((of_predicted, predicted), (of_truth, truth)):
            ranks = ranking.centered_ranks(weights)
            np.testing.assert_array_equal(ranks[rows], rankdata(values[rows]) - 25.5)
        weighted = pearson(of_predicted.centered_ranks(weights), of_truth.centered_ranks(weights), weights)
        assert weighted == pytest.approx(spearmanr(predicted[rows], truth[rows]).statistic, abs=1e-12)
        assert pearson(predicted, truth, weights) == pytest.approx(pearsonr(predicted[rows], truth[rows])[0])


def test_intervals_equal_a_bootstrap_that_ranks_every_resample():
    predicted, truth = pair(120, decimals=1)
    agreement = evaluate(predicted, truth, n_bootstrap=2000)
    rng = np.random.default_rng(0)
    draws = [rng.integers(0, 120, 120) for _ in range(2000)]
    for name, peer in (("spearman", spearmanr), ("pearson", pearsonr)):
        naive = np.quantile([peer(predicted[i], truth[i]).statistic for i in draws], [0.025, 0.975])
        interval = getattr(agreement, f"{name}_ci95")
        # Two bootstraps of 2000 resamples differ in a quantile by a few percent of the width.
        assert np.abs(interval - naive).max() < 0.08 * (naive[1] - naive[0]), name


def blocks(n, length, rng):
    starts = rng.integers(0, n, -(-n // length))
    return np.concatenate([(start + np.arange(length)) % n for start in starts])[:n]


def test_block_intervals_equal_blocks_that_are_ranked_again():
    predicted, truth = (np.convolve(v, np.ones(8), "valid") for v in pair(127, decimals=1))
    agreement = evaluate(predicted, truth, n_bootstrap=2000, block=8)
    rng = np.random.default_rng(0)
    draws = [blocks(120, 8, rng) for _ in range(2000)]
    for name, peer in (("spearman", spearmanr), ("pearson", pearsonr)):
        naive = np.quantile([peer(predicted[i], truth[i]).statistic for i in draws], [0.025, 0.975])
        interval = getattr(agreement, f"{name}_ci95")
        assert np.abs(interval - naive).max() < 0.08 * (naive[1] - naive[0]), name


def test_single_rows_of_overlapping_windows_give_too_narrow_intervals_and_blocks_do_not():
    held = {1: 0, 24: 0}
    for repetition in range(54):
        rng = np.random.default_rng(repetition)
        # Unrelated series, each window the mean of 24 readings that its neighbors share.
        predicted, truth = (np.convolve(rng.normal(size=623), np.ones(24), "valid") for _ in range(2))
        for block in held:
            low, high = evaluate(predicted, truth, n_bootstrap=200, block=block).spearman_ci95
            held[block] += low <= 0 <= high
    assert held[1] < 30
    assert held[24] > 40


def test_few_blocks_have_no_interval():
    predicted, truth = pair(100)
    assert evaluate(predicted, truth, block=21).spearman_ci95 is None
    assert evaluate(predicted, truth, block=20).spearman_ci95 is not None
    with pytest.raises(InputError, match="block is 0"):
        evaluate(predicted, truth, block=0)


def test_the_dictionary_is_json_with_the_fixed_keys_first():
    predicted, truth = pair(100)
    answer = evaluate(predicted, truth, std=np.ones(100), labels=np.arange(100) % 3).to_dict()
    assert set(FIXED_KEYS) <= answer.keys()
    assert list(answer["overlap"]) == ["0.1", "0.3", "0.5", "0.7"]
    low, high = answer["spearman_ci95"]
    assert low < answer["spearman"] < high
    assert json.loads(json.dumps(answer, allow_nan=False)) == answer
    assert evaluate(predicted, truth, std=np.ones(100), labels=np.arange(100) % 3).to_dict() == answer
    other = evaluate(predicted, truth, seed=1).to_dict()
    assert other["spearman"] == answer["spearman"]
    assert other["spearman_ci95"] != answer["spearman_ci95"]


@pytest.mark.parametrize(
    ("predicted", "truth", "reason"),
    [
        ([], [], "0 samples are too few"),
        ([1.0], [2.0], "1 samples are too few"),
        ([1.0, 2.0], [2.0, 1.0], "2 samples are too few"),
        ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0], "the predicted scores are constant"),
        ([1.0, 2.0, 3.0], [0.1, 0.1, 0.1], "the scores of truth are constant"),
    ],
)
def test_undefined_correlations_are_none_with_a_reason(predicted, truth, reason):
    answer = evaluate(predicted, truth).to_dict()
    json.dumps(answer, allow_nan=False)
    assert reason in answer["reason"]
    assert all(answer[key] is None for key in ("spearman", "pearson", "kendall"))
    assert answer["spearman_ci95"] is answer["pearson_ci95"] is None
    assert (answer["mse"] is None) == (not predicted)
    assert all((value is None) == (not predicted) for value in answer["overlap"].values())


def test_resamples_that_are_constant_leave_an_interval_of_the_others():
    # One differing value: about a third of the resamples do not contain it, and some contain nothing else.
    answer = evaluate([0.1, 0.1, 0.1, 0.1, 5.0], [1.0, 2.0, 3.0, 4.0, 5.0])
    assert all(np.isfinite(answer.spearman_ci95))
    assert all(np.isfinite(answer.pearson_ci95))


def test_one_huge_value_does_not_spoil_the_interval():
    predicted, truth = pair(40)
    predicted[7] = 1e9
    answer = evaluate(predicted, truth, n_bootstrap=400)
    draws = [expanded(w) for w in resamples(40, 400, 0)]
    order = np.argsort(predicted, kind="stable")
    naive = [pearsonr(predicted[order][i], truth[order][i])[0] for i in draws]
    np.testing.assert_allclose(answer.pearson_ci95, np.quantile(naive, [0.025, 0.975]), atol=1e-9)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"predicted": [1.0, np.nan, 2.0]},
            "predicted: 1 of 3 samples contain NaN or infinite values, the first is id 1",
        ),
        ({"truth": [1.0, 2.0, np.inf]}, "truth: 1 of 3"),
        ({"truth": [1.0, 2.0]}, "truth has 2 samples but the first has 3"),
        ({"truth": [[1.0, 2.0, 3.0]]}, r"truth has shape \(1, 3\)"),
        ({"predicted": ["a", "b", "c"]}, "pass one number per sample"),
        ({"std": [1.0, 1.0]}, "std has 2"),
        ({"std": [1.0, -1.0, 1.0]}, "std: 1 values are negative"),
        ({"labels": [1]}, "labels has 1"),
    ],
)
def test_bad_input_is_rejected(arguments, message):
    with pytest.raises(InputError, match=message):
        evaluate(**{"predicted": [1.0, 2.0, 3.0], "truth": [1.0, 3.0, 2.0], **arguments})


@settings(max_examples=40, deadline=None)
@given(n=st.integers(1, 40), seed=st.integers(0, 10**6), keep=st.sampled_from([0.1, 0.25, 0.5, 1.0]))
def test_overlap_counts_common_members_of_both_tops(n, seed, keep):
    predicted, truth = pair(n, seed, decimals=0)
    count = max(1, int(keep * n + 0.5))

    def top(values):
        return set(sorted(range(n), key=lambda i: (-values[i], i))[:count])

    assert overlap(predicted, truth, keep) == len(top(predicted) & top(truth)) / count
    assert overlap(truth, truth, keep) == 1


def test_overlap_of_independent_scores_is_the_keep_fraction():
    rng = np.random.default_rng(0)
    answer = evaluate(rng.normal(size=20_000), rng.normal(size=20_000), n_bootstrap=0).overlap
    for keep, value in answer.items():
        assert value == pytest.approx(float(keep), abs=0.02)


def test_calibration_coverage_and_bias_by_class():
    rng = np.random.default_rng(0)
    predicted = rng.normal(size=5000)
    labels = rng.integers(0, 2, 5000)
    truth = 2 * predicted + np.where(labels == 1, 1.0, 0.0) + 0.5 * rng.normal(size=5000)
    centered = 2 * predicted
    answer = evaluate(centered, truth - labels, std=np.full(5000, 0.5), n_bootstrap=0)
    assert answer.coverage90 == pytest.approx(0.9, abs=0.02)
    answer = evaluate(predicted, truth, labels=labels, n_bootstrap=0)
    assert answer.coverage90 is None
    expected = [np.mean((predicted - truth)[labels == c]) for c in (0, 1)]
    assert [answer.class_bias["0"], answer.class_bias["1"]] == pytest.approx(expected)
    assert [part["n"] for part in answer.calibration] == [500] * 10
    order = np.argsort(predicted)
    assert answer.calibration[9]["predicted"] == pytest.approx(predicted[order[-500:]].mean())
    assert answer.calibration[9]["truth"] == pytest.approx(truth[order[-500:]].mean())
    assert len(evaluate(predicted[:4], truth[:4]).calibration) == 4


@pytest.mark.parametrize("count", [2, 3, 5])
def test_simulated_runs_reach_the_noise_ceiling(count):
    rng = np.random.default_rng(count)
    true = rng.normal(size=20_000)
    runs = [true + 0.6 * rng.normal(size=20_000) for _ in range(count + 1)]
    mean = np.mean(runs[:count], axis=0)
    ceiling = noise_ceiling(runs[:count])
    assert ceiling["runs"] == count
    assert ceiling["reason"] is None
    assert ceiling["pearson"] == pytest.approx(1 / 1.36, abs=0.01)
    assert ceiling["perfect_pearson"] == pytest.approx(pearsonr(true, mean)[0], abs=0.01)
    assert ceiling["further_run_vs_mean_pearson"] == pytest.approx(pearsonr(runs[-1], mean)[0], abs=0.01)
    assert ceiling["perfect"] == pytest.approx(spearmanr(true, mean)[0], abs=0.02)
    assert ceiling["further_run_vs_mean"] == pytest.approx(spearmanr(runs[-1], mean)[0], abs=0.02)


def test_the_noise_ceiling_of_two_runs_is_the_published_formula():
    a, b = pair(200)
    ceiling = noise_ceiling([a, b])
    r = spearmanr(a, b).statistic
    assert ceiling["spearman"] == pytest.approx(r)
    assert ceiling["perfect"] == pytest.approx((2 * r / (1 + r)) ** 0.5)
    assert noise_ceiling([a, a])["perfect"] == pytest.approx(1)


def test_a_noise_ceiling_that_does_not_exist_has_a_reason():
    a, b = pair(50)
    with pytest.raises(InputError, match="at least 2"):
        noise_ceiling([a])
    with pytest.raises(InputError, match="run 1 has 49"):
        noise_ceiling([a, b[:49]])
    assert "constant" in noise_ceiling([a, np.ones(50)])["reason"]
    opposite = noise_ceiling([a, -a])
    assert opposite["perfect"] is None
    assert "do not agree" in opposite["reason"]
    json.dumps(opposite, allow_nan=False)
