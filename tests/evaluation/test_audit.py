"""The audit: its extrapolations against polynomials fitted by NumPy, and its coverage when trends continue."""

import math

import numpy as np
import pytest
from scipy.stats import spearmanr

from graphprune.errors import InputError
from graphprune.evaluation.audit import audit


def truncated(epochs, full, rng, n=4000, rising=0.6):
    """A truth, a predictor of it, and scores that approach the truth with more epochs."""
    truth, noise = rng.normal(size=n), rng.normal(size=n)
    predicted = truth + rng.normal(size=n)
    scores = []
    for e in epochs:
        share = 1 - rising * math.log(full / e)
        scores.append(share * truth + (1 - share) * noise)
    return predicted, truth, scores


def test_extrapolations_equal_numpy_polynomials():
    rng = np.random.default_rng(0)
    epochs, full = [14, 17, 20], 30
    predicted, _, scores = truncated(epochs, full, rng)
    found = audit(predicted, [scores], epochs, full, n_bootstrap=0)
    r = [spearmanr(predicted, s).statistic for s in scores]
    assert found.spearman == pytest.approx(r, abs=1e-12)
    x, end = np.log(epochs), np.log(full)
    line = np.polyval(np.polyfit(x[1:], r[1:], 1), end)
    unknown = (1 - 20 / 30) / 2
    ends = [
        r[2] - unknown,
        r[2] + unknown,
        r[2] + 2 * (line - r[2]),
        r[2] + (r[2] - r[0]) / (x[2] - x[0]) * (end - x[2]),
        np.polyval(np.polyfit(x, r, 2), end),
    ]
    assert found.expected == pytest.approx(min(line, 1.0), abs=1e-9)
    assert found.interval == pytest.approx([min(ends), min(max(ends), 1.0)], abs=1e-9)


def test_the_interval_contains_the_truth_if_the_trend_continues():
    inside = 0
    for seed in range(20):
        predicted, truth, scores = truncated([14, 17, 20], 30, np.random.default_rng(seed), n=800)
        low, high = audit(predicted, [scores], [14, 17, 20], 30, n_bootstrap=100).interval
        inside += low <= spearmanr(predicted, truth).statistic <= high
    assert inside >= 19


def test_a_complete_run_needs_no_extrapolation():
    rng = np.random.default_rng(1)
    predicted, _, scores = truncated([20, 25, 30], 30, rng)
    found = audit(predicted, [scores, scores], [20, 25, 30], 30, n_bootstrap=200)
    assert found.runs == 2
    assert found.expected == pytest.approx(found.spearman[-1])
    assert found.interval[1] - found.interval[0] < 0.1  # sampling error only


def test_windows_that_overlap_are_drawn_in_blocks():
    rng = np.random.default_rng(0)
    predicted, scores = (np.convolve(rng.normal(size=823), np.ones(24), "valid") for _ in range(2))
    widths = [
        np.ptp(audit(predicted, [[scores] * 3], [20, 25, 30], 30, block=block).interval) for block in (1, 24)
    ]
    assert widths[1] > 2 * widths[0]
    few = audit(predicted, [[scores] * 3], [20, 25, 30], 30, block=161)
    assert (few.interval, few.reason) == (None, "800 samples are fewer than five blocks of 161")


def test_undefined_figures_have_a_reason():
    flat = np.zeros(10)
    found = audit(np.arange(10.0), [[flat, flat, flat]], [1, 2, 3], 4)
    assert (found.interval, found.spearman) == (None, None)
    assert "all the same" in found.reason


@pytest.mark.parametrize("epochs", [[1, 2], [3, 2, 4], [2, 2, 3], [10, 20, 31]])
def test_invalid_epochs_are_rejected(epochs):
    scores = [np.arange(5.0)] * len(epochs)
    with pytest.raises(InputError, match="at least three, ascending"):
        audit(np.arange(5.0), [scores], epochs, 30)


def test_samples_must_be_the_same():
    with pytest.raises(InputError, match="pass one number for each"):
        audit(np.arange(5.0), [[np.arange(4.0)] * 3], [1, 2, 3], 4)
