"""Model-free complexity against a plain Fourier sum."""

from __future__ import annotations

import cmath
import itertools
import math

import numpy as np
import pytest
import torch

from graphprune.data.windows import load_sensors
from graphprune.scores.input_complexity import input_complexity, spectral_entropy_and_energy


def slow(column):
    """Entropy and energy of one node's steps."""
    seen = [v for v in column if not math.isnan(v)]
    mean = sum(seen) / len(seen) if seen else 0.0
    steps = [0.0 if math.isnan(v) else v - mean for v in column]
    length = len(steps)
    power = [
        abs(sum(v * cmath.exp(-2j * math.pi * f * t / length) for t, v in enumerate(steps))) ** 2
        for f in range(1, length // 2 + 1)
    ]
    total = sum(power)
    shares = [p / total for p in power] if total > 1e-9 else []
    entropy = -sum(p * math.log(p) for p in shares if p > 0) / math.log(len(power))
    jumps = [(b - a) ** 2 for a, b in itertools.pairwise(column)]
    jumps = [j for j in jumps if not math.isnan(j)]
    return entropy, sum(jumps) / len(jumps) if jumps else math.nan


@pytest.mark.parametrize("length", [12, 7])
def test_terms_equal_those_of_loops(length):
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(8, length, 3, generator=draws).cumsum(dim=1)
    x[torch.rand(x.shape, generator=draws) < 0.2] = torch.nan
    x[0, :, 0] = 7.3
    x[1, :, 1] = torch.nan
    found = spectral_entropy_and_energy(x).numpy()
    for b in range(8):
        nodes = np.array([slow(x[b, :, n].tolist()) for n in range(3)])
        expected = [nodes[:, 0].mean(), np.nanmean(nodes[:, 1])]
        np.testing.assert_allclose(found[b], expected, rtol=1e-4, atol=1e-5)


def test_noise_is_more_complex_than_a_wave():
    time = torch.arange(24.0)
    wave = torch.sin(2 * torch.pi * time / 12)[None, :, None]
    noise = torch.randn(1, 24, 1, generator=torch.Generator().manual_seed(0))
    entropy = spectral_entropy_and_energy(torch.cat([wave, noise]))[:, 0]
    assert entropy[0] < 0.05
    assert 0.5 < entropy[1] <= 1


def test_scores_of_a_series_do_not_depend_on_blocks():
    train = load_sensors(name="traffic_counts", limit=800).train
    scores = input_complexity(train)
    assert scores.shape == (len(train),)
    assert abs(scores.mean()) < 1e-5
    np.testing.assert_allclose(scores, input_complexity(train, block_size=50), atol=1e-6)
