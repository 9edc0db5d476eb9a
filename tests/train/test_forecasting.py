"""Forecasting losses and naive forecasts against slow loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from graphprune.data.base import TaskInfo
from graphprune.data.formats.common import clock
from graphprune.data.sensors import SensorSeries
from graphprune.data.windows import window_data
from graphprune.registry import create
from graphprune.train.forecast_errors import ForecastErrors
from graphprune.train.naive import historical_average, last_value, naive_errors


@pytest.fixture
def paradigm():
    info = TaskInfo("forecasting", (6, 3, 1), horizon=4, steps_per_day=24, target_std=2.5)
    return create("paradigm", "forecasting", info=info)


@pytest.fixture
def batch():
    draws = torch.Generator().manual_seed(0)
    outputs = torch.randn(5, 4, 3, generator=draws)
    targets = torch.randn(5, 4, 3, generator=draws)
    targets[0, 1, 2] = targets[2, :, 0] = torch.nan
    targets[4] = torch.nan
    return outputs.requires_grad_(), targets


def slow_errors(outputs, targets):
    """Per sample, the list of absolute errors at observed targets."""
    found = [[] for _ in range(len(targets))]
    for b, t, s in np.ndindex(*targets.shape):
        if not np.isnan(targets[b, t, s]):
            found[b].append(abs(outputs[b, t, s] - targets[b, t, s]))
    return found


def test_losses_signals_and_tally_equal_slow_loops(paradigm, batch):
    outputs, targets = batch
    errors = slow_errors(outputs.detach().numpy(), targets.numpy())
    losses = paradigm.losses(outputs, targets)
    np.testing.assert_allclose(losses.detach(), [np.mean(e) if e else 0.0 for e in errors], rtol=1e-6)
    signals = paradigm.signals(outputs, targets, losses)
    assert set(signals) == {"loss", "errors"}
    assert not signals["loss"].requires_grad
    assert torch.equal(signals["errors"].isnan(), targets.isnan())
    total, count = paradigm.tally(outputs, targets).tolist()
    flat = [v for e in errors for v in e]
    assert count == len(flat)
    assert total == pytest.approx(2.5 * sum(flat), rel=1e-6)


def test_missing_targets_have_no_gradient(paradigm, batch):
    outputs, targets = batch
    paradigm.losses(outputs, targets).sum().backward()
    assert outputs.grad.isfinite().all()
    assert (outputs.grad[targets.isnan()] == 0).all()
    assert (outputs.grad[~targets.isnan()] != 0).all()


def series(gaps):
    rng = np.random.default_rng(3)
    values = rng.gamma(2, 5, size=(24 * 20, 3, 1)).astype(np.float32)
    values[rng.random(values.shape) < gaps] = np.nan
    return SensorSeries("toy", values, clock(len(values), 24), tuple("abc"), ("v",))


@pytest.mark.parametrize("granularity", ["network", "sensor"])
@pytest.mark.parametrize("gaps", [0.0, 0.4])
def test_naive_forecasts_equal_slow_loops(granularity, gaps):
    base = series(gaps)
    data = window_data(base, window=3, horizon=2, delay=1, granularity=granularity)
    raw = base.values[:, :, 0].astype(np.float64)
    stop = int(data.train.starts[-1]) + 6
    overall = float(data.train.scaler.mean[0])
    slots = [(i // 24 % 7, i % 24) for i in range(len(raw))]
    last_errors, average_errors = [], []
    for start in sorted(set(data.test.starts.tolist())):
        for sensor in range(3):
            past = [v for v in raw[start : start + 3, sensor] if not np.isnan(v)]
            for step in (start + 4, start + 5):
                if np.isnan(raw[step, sensor]):
                    continue
                last_errors.append(abs((past[-1] if past else overall) - raw[step, sensor]))
                same = [raw[i, sensor] for i in range(stop) if slots[i] == slots[step]]
                same = [v for v in same if not np.isnan(v)]
                if not same:
                    same = [raw[i, sensor] for i in range(stop) if slots[i][1] == slots[step][1]]
                    same = [v for v in same if not np.isnan(v)]
                average_errors.append(abs(np.mean(same) - raw[step, sensor]))
    for forecast, expected in (
        (last_value(data.test), last_errors),
        (historical_average(data.train, data.test), average_errors),
    ):
        found = naive_errors(data.test, forecast, data.info)["all"]
        assert found["mae"] == pytest.approx(np.mean(expected), rel=1e-5)
        assert found["rmse"] == pytest.approx(np.sqrt(np.mean(np.square(expected))), rel=1e-5)


def test_a_nan_forecast_is_not_a_missing_target(paradigm, batch):
    outputs, targets = batch
    outputs = outputs.detach().clone()
    outputs[0, 0, 0] = torch.nan
    total, count = paradigm.tally(outputs, targets).tolist()
    assert np.isnan(total)
    assert count == int((~targets.isnan()).sum())
    errors = ForecastErrors(paradigm.info)
    errors.update(outputs, targets)
    assert np.isnan(errors.summary()["mae"])
