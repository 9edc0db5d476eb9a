"""Statistics of windows against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from graphprune.data.formats.common import clock
from graphprune.data.sensors import SensorSeries
from graphprune.data.windows import window_data
from graphprune.embed.windows import node_statistics, window_statistics


def samples(granularity, gaps=0.2):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(24 * 10, 3, 2)).cumsum(axis=0).astype(np.float32)
    values[rng.random(values.shape) < gaps] = np.nan
    series = SensorSeries("toy", values, clock(240, 24), tuple("abc"), ("u", "v"))
    return window_data(series, window=6, horizon=4, target="v", granularity=granularity).train


def slow_statistics(column):
    steps = [t for t, v in enumerate(column) if not np.isnan(v)]
    values = [column[t] for t in steps]
    pairs = [(column[t + 1] - column[t]) ** 2 for t in range(len(column) - 1)]
    pairs = [p for p in pairs if not np.isnan(p)]
    slope = np.polyfit(steps, values, 1)[0] if len(values) > 1 else np.nan
    return [
        np.mean(values) if values else np.nan,
        np.var(values) if values else np.nan,
        np.mean(pairs) if pairs else np.nan,
        slope,
    ]


def test_statistics_of_a_node_equal_those_of_loops():
    x = torch.randn(20, 6, 3, generator=torch.Generator().manual_seed(0))
    x[torch.rand(x.shape, generator=torch.Generator().manual_seed(1)) < 0.3] = torch.nan
    x[0, :, 0] = torch.nan
    x[1, 1:, 0] = torch.nan
    found = node_statistics(x).numpy()
    for b, node in np.ndindex(20, 3):
        expected = slow_statistics(x[b, :, node].double().numpy())
        np.testing.assert_allclose(found[b, node], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Mean of empty slice")
@pytest.mark.parametrize(("granularity", "width"), [("network", 10), ("sensor", 6)])
def test_columns_are_standardized_statistics_over_sensors(granularity, width):
    part = samples(granularity)
    found = window_statistics(part, block_size=17)
    assert found.dtype == np.float32
    assert found.shape == (len(part), width)
    past = part.readings(torch.arange(len(part)), past=True).double().numpy()
    rows = []
    for i in range(len(part)):
        nodes = np.array([slow_statistics(past[i, :, n]) for n in range(past.shape[2])])
        columns = [*np.nanmean(nodes, axis=0)]
        if granularity == "network":
            columns += [*np.nanstd(nodes, axis=0)]
        hour = (part.starts[i] + 5) % 24
        rows.append([*columns, np.sin(2 * np.pi * hour / 24), np.cos(2 * np.pi * hour / 24)])
    expected = np.nan_to_num(np.array(rows))
    expected = (expected - expected.mean(axis=0)) / expected.std(axis=0)
    np.testing.assert_allclose(found, expected, atol=2e-3)
    np.testing.assert_array_equal(window_statistics(part), found)


def test_constant_columns_are_zero():
    series = SensorSeries("flat", np.ones((96, 2, 1), dtype=np.float32), clock(96, 24), ("a", "b"), ("u",))
    found = window_statistics(window_data(series, window=4, horizon=2).train)
    assert (found[:, :8] == 0).all()
    assert (found[:, 8:].std(axis=0) > 0.9).all()
