"""MAE, RMSE and MAPE per horizon against loops."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from graphprune.data.base import TaskInfo
from graphprune.data.windows import load_sensors
from graphprune.models.stid import STID
from graphprune.train.forecast_errors import ForecastErrors, forecast_errors
from graphprune.train.naive import last_value, naive_errors

INFO = TaskInfo("forecasting", (6, 3, 1), horizon=4, target_mean=1.5, target_std=0.5)


@pytest.mark.parametrize("steps", [None, [1], [2, 4]])
def test_sums_equal_loops(steps):
    draws = torch.Generator().manual_seed(0)
    outputs, targets = (torch.randn(9, 4, 3, generator=draws) for _ in range(2))
    targets[torch.rand(targets.shape, generator=draws) < 0.2] = torch.nan
    targets[0, 1, 0] = -3.0
    errors = ForecastErrors(INFO)
    for rows in torch.arange(9).split(4):
        errors.update(outputs[rows], targets[rows])
    absolute, relative = [], []
    for b, t, s in np.ndindex(9, 4, 3):
        if (steps is None or t + 1 in steps) and not math.isnan(targets[b, t, s]):
            truth = float(targets[b, t, s]) * 0.5 + 1.5
            error = abs(float(outputs[b, t, s]) * 0.5 + 1.5 - truth)
            absolute.append(error)
            if truth != 0:
                relative.append(error / abs(truth))
    found = errors.summary(steps)
    assert found["mae"] == pytest.approx(np.mean(absolute), rel=1e-5)
    assert found["rmse"] == pytest.approx(np.sqrt(np.mean(np.square(absolute))), rel=1e-5)
    assert found["mape"] == pytest.approx(np.mean(relative), rel=1e-5)


def test_nothing_observed_is_nan():
    errors = ForecastErrors(INFO)
    errors.update(torch.zeros(2, 4, 3), torch.full((2, 4, 3), torch.nan))
    assert all(value is None for value in errors.summary().values())


def test_a_model_over_its_test_part():
    data = load_sensors(name="traffic_counts", limit=600, horizon=6)
    found = forecast_errors(STID.for_task(data.info), data.test, data.info)
    assert list(found) == ["all", "3", "6"]
    # An untrained STID repeats the last value.
    naive = naive_errors(data.test, last_value(data.test), data.info)
    for step, measures in naive.items():
        assert found[step] == pytest.approx(measures, rel=1e-5)
    assert found["3"]["mae"] < found["6"]["mae"]
    assert found["all"]["rmse"] > found["all"]["mae"]
