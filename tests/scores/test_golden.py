"""Numbers computed by hand (Python's statistics and math modules) for 3 samples x 12 epochs."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from graphprune.registry import create
from graphprune.scores.base import Signals
from graphprune.scores.recorder import Recorder
from graphprune.scores.trajectories import scores_from_trajectories

# Class probabilities of each sample, epoch by epoch: one is learned, one wavers, one never moves.
LEARNED = [
    [0.40, 0.35, 0.25],
    [0.45, 0.35, 0.20],
    [0.55, 0.30, 0.15],
    [0.60, 0.25, 0.15],
    [0.70, 0.20, 0.10],
    [0.75, 0.15, 0.10],
    [0.80, 0.15, 0.05],
    [0.85, 0.10, 0.05],
    [0.90, 0.06, 0.04],
    [0.92, 0.05, 0.03],
    [0.95, 0.03, 0.02],
    [0.96, 0.02, 0.02],
]
WAVERING = [
    [0.30, 0.40, 0.30],
    [0.20, 0.60, 0.20],
    [0.50, 0.30, 0.20],
    [0.15, 0.70, 0.15],
    [0.55, 0.25, 0.20],
    [0.25, 0.65, 0.10],
    [0.60, 0.30, 0.10],
    [0.10, 0.80, 0.10],
    [0.45, 0.35, 0.20],
    [0.30, 0.60, 0.10],
    [0.05, 0.85, 0.10],
    [0.40, 0.50, 0.10],
]
CONSTANT = [[0.25, 0.25, 0.50]] * 12
LABELS = [0, 1, 2]

EXPECTED = [
    # statistics.stdev of p[0:10] and p[1:11], averaged: two windows; the second counts only with the 12th visit.
    ("dynamic_uncertainty", {"window": 10}, [0.17724915533159272, 0.20926874511695848, 0.0]),
    ("dynamic_uncertainty", {"window": 4}, [0.07461926755720914, 0.22955054962685906, 0.0]),
    # statistics.pstdev of all windows of p[2:12]: seven of length 4, one of length 10.
    ("dynamic_uncertainty_online", {"window": 4}, [0.05309002959646619, 0.2032343360286384, 0.0]),
    ("dynamic_uncertainty_online", {}, [0.13782597723216042, 0.21, 0.0]),
    # One window: 0.9 times the norm of nine divergences minus their mean.
    ("tdds", {}, [0.13325820413036654, 0.5949994357156131, 0.0]),
    ("tdds", {"T": 12, "window": 5}, [0.052746312650621435, 0.6497971502765274, 0.0]),
    ("tdds", {"T": "all", "window": 5}, [0.052746312650621435, 0.6497971502765274, 0.0]),
    ("tdds", {"T": 8, "window": 4, "decay": 0.5}, [0.04160189832382437, 0.1665098346313006, 0.0]),
    # DUAL: mean of stdev * (1 - fmean) over the windows of the first T epochs.
    ("dual", {"T": 12, "window": 10}, [0.04306850823482088, 0.10180178961276437, 0.0]),
    ("dual", {"T": 8, "window": 4}, [0.03218062104538864, 0.11768890924521709, 0.0]),
    # Minus the mean margin of the logits; mean distance to the one-hot label; correct-to-wrong changes.
    ("aum", {}, [-1.7907966932820438, -0.5645253909311353, -0.6931471805599453]),
    ("el2n", {"T": 5}, [0.5701078662770063, 0.6853318597927746, 0.6123724356957945]),
    ("forgetting", {}, [0.0, 4.0, 0.0]),
]


@pytest.mark.parametrize(("name", "options", "expected"), EXPECTED)
def test_hand_computed_scores(name, options, expected):
    logits = torch.tensor([LEARNED, WAVERING, CONSTANT]).log()
    recorder = Recorder({name: create("score", name, **options)}, torch.arange(3), epochs=12, num_classes=3)
    for epoch in range(12):
        recorder.observe(
            create("score", name).phase,
            torch.arange(3),
            epoch,
            logits=logits[:, epoch],
            targets=torch.tensor(LABELS),
        )
    np.testing.assert_allclose(recorder.values()[name].numpy(), expected, rtol=2e-6, atol=1e-6)


def test_the_online_score_counts_the_window_that_ends_at_the_last_epoch():
    """13 epochs, p = 0 twelve times and then 1: windows of p[2:12] and p[3:13], deviations 0 and 0.3."""
    p = torch.zeros(13)
    p[12] = 1
    score = create("score", "dynamic_uncertainty_online")
    score.start(1, epochs=13, num_classes=2)
    for epoch in range(13):
        score.update(torch.tensor([0]), Signals(p_true=p[epoch : epoch + 1]), epoch)
    assert score.values().tolist() == pytest.approx([0.15])
    logged = scores_from_trajectories(
        create("score", "dynamic_uncertainty_online"), p_true=p[:, None].numpy()
    )
    assert logged.tolist() == pytest.approx([0.15])
