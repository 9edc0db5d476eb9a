"""Forecasts that learn nothing: the floor under every trained model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from graphprune.data.scaling import calendar
from graphprune.data.windows import DAY_OF_WEEK, WindowSamples

_BLOCK = 1024

# Forecast ``[B, horizon, nodes]`` in standardised units from rows ``[B]``.
Forecast = Callable[[Tensor], Tensor]


def last_value(test: WindowSamples) -> float:
    """Masked MAE in original units of repeating each window's last observed value.

    Where a window holds no reading the training mean is repeated.
    """

    def forecast(rows: Tensor) -> Tensor:
        past = test.readings(rows, past=True)
        order = torch.arange(1, past.shape[1] + 1)[:, None]
        latest = (~past.isnan() * order).argmax(dim=1, keepdim=True)
        return past.gather(1, latest).nan_to_num(0).expand(-1, test.horizon, -1)

    return _masked_mae(test, forecast)


def historical_average(train: WindowSamples, test: WindowSamples) -> float:
    """Masked MAE in original units of each sensor's mean over the training part at the same time of the week.

    Where training covers no such time: at the same time of day, else the sensor's mean, else the overall one.
    The time of the week counts only where training covers all weekdays of the test part, as for models.
    """
    series = train.series
    slots = np.rint(calendar(series.timestamps) * [series.steps_per_day, 7]).astype(np.int64)
    slots[:, 0] %= series.steps_per_day
    whole = np.zeros(len(series), dtype=np.int64)
    keys = [whole, slots[:, 0]]
    if DAY_OF_WEEK in train.features:
        keys.append(slots[:, 1] * series.steps_per_day + slots[:, 0])
    stop = int(train.starts[-1]) + train.span
    table = np.zeros((len(series), series.n_sensors), dtype=np.float32)
    values = series.block(0, stop)[:, :, train.target].astype(np.float64)
    seen = ~np.isnan(values)
    mean, std = (float(part[train.target]) for part in train.scaler)
    values = np.where(seen, (values - mean) / std, 0)
    for key in keys:
        count = np.zeros((key.max() + 1, series.n_sensors))
        total = np.zeros_like(count)
        np.add.at(count, key[:stop], seen)
        np.add.at(total, key[:stop], values)
        table = np.where(count[key] > 0, (total / np.maximum(count, 1))[key], table).astype(np.float32)
    averages = torch.from_numpy(table)

    def forecast(rows: Tensor) -> Tensor:
        steps = torch.from_numpy(test.starts)[rows][:, None] + torch.arange(
            test.span - test.horizon, test.span
        )
        if test.sensors is None:
            return averages[steps]
        return averages[steps, torch.from_numpy(test.sensors)[rows][:, None]][:, :, None]

    return _masked_mae(test, forecast)


def _masked_mae(test: WindowSamples, forecast: Forecast) -> float:
    total, count = 0.0, 0
    for rows in torch.split(torch.arange(len(test)), _BLOCK):
        errors = (forecast(rows) - test.readings(rows, past=False)).abs()
        total += float(errors.double().nansum())
        count += int((~errors.isnan()).sum())
    return total / count * float(test.scaler.std[test.target])
