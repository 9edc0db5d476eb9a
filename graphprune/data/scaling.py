"""What is computed once over a series before its windows are used: standardization and the calendar."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from graphprune.data.sensors import SensorSeries
from graphprune.errors import InputError

# Squares of larger readings overflow float32, and so would losses. Fill values (1e20, 9.97e36) lie beyond.
_LARGEST = 1e18


class Scaler(NamedTuple):
    """Mean and standard deviation of each channel ``[C]`` float32; 1 where a channel is constant."""

    mean: Tensor
    std: Tensor


def fit_scaler(series: SensorSeries, stop: int, target: int = 0) -> tuple[Scaler, bool]:
    """Mean and standard deviation of each channel over steps ``0..stop-1``, and whether the target has gaps.

    Standard deviations have ddof 0. Sums are in float64 and over blocks of time, so that one pass suffices.

    Raises:
        InputError: a channel holds no reading or one that `refuse_infinite` refuses.
    """
    channels = len(series.channels)
    count, mean, spread = np.zeros(channels), np.zeros(channels), np.zeros(channels)
    gaps = False
    for start in range(0, stop, series.steps_per_block()):
        block = series.block(start, min(stop, start + series.steps_per_block())).astype(np.float64)
        refuse_infinite(series, block, start)
        seen = ~np.isnan(block)
        gaps |= not seen[:, :, target].all()
        n = seen.sum(axis=(0, 1))
        block_mean = np.where(seen, block, 0).sum(axis=(0, 1)) / np.maximum(n, 1)
        block_spread = (np.where(seen, block - block_mean, 0) ** 2).sum(axis=(0, 1))
        total = np.maximum(count + n, 1)
        spread += block_spread + (block_mean - mean) ** 2 * count * n / total
        mean += (block_mean - mean) * n / total
        count += n
    std = np.sqrt(spread / np.maximum(count, 1))
    for i, name in enumerate(series.channels):
        if not count[i]:
            raise InputError(
                f"{series.name}: channel '{name}' holds no reading in the training part; drop or repair it"
            )
    std[std == 0] = 1
    return Scaler(torch.from_numpy(mean).float(), torch.from_numpy(std).float()), gaps


def refuse_infinite(series: SensorSeries, block: npt.NDArray[Any], start: int) -> None:
    """Refuses readings ``[t, N, C]`` of steps from ``start`` on that are infinite or beyond 1e18, and says where."""
    bad = np.abs(block) > _LARGEST
    if not bad.any():
        return
    step, sensor, channel = np.argwhere(bad)[0]
    value = float(series.values[start + step, sensor, channel])
    raise InputError(
        f"{series.name}: sensor '{series.sensor_ids[sensor]}' (channel '{series.channels[channel]}') holds {value:g} "
        f"at {series.timestamps[start + step]} (step {start + step}); repair it, or set data.missing if it stands "
        "for missing readings"
    )


def calendar(timestamps: npt.NDArray[np.datetime64]) -> npt.NDArray[np.float32]:
    """``[T, 2]``: time of day as a fraction, and day of week (Monday 0, Sunday 6/7)."""
    seconds = timestamps.astype("datetime64[s]").astype(np.int64)
    days, second = np.divmod(seconds, 86_400)
    # Day 0 of the epoch was a Thursday.
    return np.stack([second / 86_400, (days + 3) % 7 / 7], axis=1).astype(np.float32)
