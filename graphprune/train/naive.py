"""Naive forecasts, which every trained model should beat."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from graphprune.data.base import TaskInfo
from graphprune.data.scaling import calendar
from graphprune.data.windows import DAY_OF_WEEK, WindowSamples
from graphprune.train.forecast_errors import Errors, ForecastErrors

# Forecast ``[B, horizon, nodes]`` in standardized units from rows ``[B]``.
Forecast = Callable[[Tensor], Tensor]


def naive_errors(test: WindowSamples, forecast: Forecast, info: TaskInfo) -> Errors:
    """Masked errors of a forecast over all test windows, in original units, by horizon step."""
    errors = ForecastErrors(info)
    for rows in test.blocks():
        errors.update(forecast(rows), test.readings(rows, past=False))
    return errors.by_step()


def last_value(test: WindowSamples) -> Forecast:
    """Repeats each window's last observed value; a window without readings gets the training mean."""

    def forecast(rows: Tensor) -> Tensor:
        past = test.readings(rows, past=True)
        order = torch.arange(1, past.shape[1] + 1)[:, None]
        latest = (~past.isnan() * order).argmax(dim=1, keepdim=True)
        return past.gather(1, latest).nan_to_num(0).expand(-1, test.horizon, -1)

    return forecast


def historical_average(train: WindowSamples, test: WindowSamples) -> Forecast:
    """Forecasts each sensor's training mean at the same time of the week.

    If the training part has no readings at that time, the mean at the same time of day is used, then the sensor's
    mean, then the overall mean. As for models, the weekday is used only if the training part contains all weekdays
    of the test part.

    Cost: O(T N) time, one pass in blocks; O(week N) memory for the slots of a week.
    """
    series = train.series
    clocked = np.rint(calendar(series.timestamps) * [series.steps_per_day, 7]).astype(np.int64)
    day = clocked[:, 0] % series.steps_per_day
    finest = clocked[:, 1] * series.steps_per_day + day if DAY_OF_WEEK in train.features else day
    count, total = _sums(train, finest)
    # From coarse to fine: each level overwrites the slots in which it has readings.
    slots = np.arange(len(count))
    table = np.zeros(count.shape)
    for level in (np.zeros_like(slots), slots % series.steps_per_day, slots):
        seen = np.zeros((level.max() + 1, series.n_sensors))
        summed = np.zeros_like(seen)
        np.add.at(seen, level, count)
        np.add.at(summed, level, total)
        table = np.where(seen[level] > 0, (summed / np.maximum(seen, 1))[level], table)
    averages, slot = torch.from_numpy(table.astype(np.float32)), torch.from_numpy(finest)

    def forecast(rows: Tensor) -> Tensor:
        steps = torch.from_numpy(test.starts)[rows][:, None] + torch.arange(
            test.span - test.horizon, test.span
        )
        if test.sensors is None:
            return averages[slot[steps]]
        return averages[slot[steps], torch.from_numpy(test.sensors)[rows][:, None]][:, :, None]

    return forecast


def _sums(
    train: WindowSamples, slot: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Number and sum of the standardized training readings by slot and sensor, ``[slots, N]`` each."""
    series, stop = train.series, int(train.starts[-1]) + train.span
    count = np.zeros((int(slot.max()) + 1, series.n_sensors))
    total = np.zeros_like(count)
    mean, std = (float(part[train.target]) for part in train.scaler)
    for start in range(0, stop, series.steps_per_block()):
        end = min(stop, start + series.steps_per_block())
        values = (series.block(start, end)[:, :, train.target].astype(np.float64) - mean) / std
        seen = ~np.isnan(values)
        order = np.argsort(slot[start:end], kind="stable")
        slots, first = np.unique(slot[start:end][order], return_index=True)
        count[slots] += np.add.reduceat(seen[order], first, axis=0, dtype=np.float64)
        total[slots] += np.add.reduceat(np.where(seen, values, 0)[order], first, axis=0)
    return count, total
