"""Statistics of a whole series: standardization and calendar features."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from graphprune.data.sensors import SensorSeries
from graphprune.errors import InputError

# Squares of larger readings, and thus losses, overflow float32. Fill values (1e20, 9.97e36) are larger.
_LARGEST = 1e18


class Scaler(NamedTuple):
    """Mean and standard deviation of each channel ``[C]`` float32; the deviation of a constant channel is 1."""

    mean: Tensor
    std: Tensor


def fit_scaler(series: SensorSeries, stop: int, target: int = 0) -> tuple[Scaler, bool]:
    """Mean and standard deviation of each channel over steps ``0..stop-1``, and whether the target has gaps.

    Standard deviations have ddof 0. Sums are accumulated in float64 over blocks of time, in a single pass.

    Raises:
        InputError: a channel has no reading, or a reading that `refuse_infinite` refuses.
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
                f"{series.name}: channel '{name}' has no reading in the training part; remove or repair it"
            )
    std[std == 0] = 1
    return Scaler(torch.from_numpy(mean).float(), torch.from_numpy(std).float()), gaps


def refuse_infinite(series: SensorSeries, block: npt.NDArray[Any], start: int) -> None:
    """Refuse readings ``[t, N, C]`` from step ``start`` on that are infinite or beyond 1e18.

    Raises:
        InputError: there is such a reading; the message names its sensor, channel and time.
    """
    bad = np.abs(block) > _LARGEST
    if not bad.any():
        return
    step, sensor, channel = np.argwhere(bad)[0]
    value = float(series.values[start + step, sensor, channel])
    raise InputError(
        f"{series.name}: sensor '{series.sensor_ids[sensor]}' (channel '{series.channels[channel]}') has the "
        f"reading {value:g} at {series.timestamps[start + step]} (step {start + step}); repair it, or set data.missing "
        "if it marks missing readings"
    )


def calendar(timestamps: npt.NDArray[np.datetime64]) -> npt.NDArray[np.float32]:
    """``[T, 2]``: time of day as a fraction, and day of week (Monday 0, Sunday 6/7).

    >>> calendar(np.array(["2024-01-01T12:00"], "datetime64[s]")).tolist()
    [[0.5, 0.0]]
    """
    seconds = timestamps.astype("datetime64[s]").astype(np.int64)
    days, second = np.divmod(seconds, 86_400)
    # 1970-01-01 was a Thursday.
    return np.stack([second / 86_400, (days + 3) % 7 / 7], axis=1).astype(np.float32)
