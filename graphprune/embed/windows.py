"""Embeddings of windows without a model: statistics of their inputs."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from graphprune.data.scaling import calendar
from graphprune.data.windows import WindowSamples


def window_statistics(samples: WindowSamples, *, block_size: int | None = None) -> npt.NDArray[np.float32]:
    """Computes statistics of each window's input as an embedding ``[N, D]`` float32.

    The columns are the mean, variance, lag-1 energy and trend of the target channel in the input window (for
    whole-network windows, their mean and standard deviation over sensors), followed by the sine and cosine of the
    time of day at the last input step. Every column is standardized over the samples (0 if constant). D is 10, or 6
    for sensor-time windows.

    Cost: O(N window nodes) time; besides the result, memory for ``block_size`` windows (see `blocks`).
    """
    parts = []
    for rows in samples.blocks(block_size):
        nodes = node_statistics(samples.readings(rows, past=True))
        columns = [nodes.nanmean(dim=1)]
        if samples.granularity == "network":
            columns.append((nodes - columns[0][:, None]).square().nanmean(dim=1).sqrt())
        parts.append(torch.cat(columns, dim=1).nan_to_num(nan=0.0))
    hours = calendar(samples.series.timestamps)[samples.starts + samples.window - 1, 0].astype(np.float64)
    angle = torch.from_numpy(2 * math.pi * hours)
    found = torch.cat([torch.cat(parts).double(), angle.sin()[:, None], angle.cos()[:, None]], dim=1)
    spread, mean = torch.std_mean(found, dim=0, correction=0)
    constant = spread <= 1e-9 * mean.abs().clamp(min=1e-3)
    scaled = ((found - mean) / spread.masked_fill(constant, 1)).masked_fill(constant, 0)
    return scaled.float().numpy()


def node_statistics(x: Tensor) -> Tensor:
    """Computes mean, variance, lag-1 energy and trend ``[B, nodes, 4]`` of windows ``[B, T, nodes]``.

    Missing steps are NaN. The energy is the mean of ``(x[t+1] - x[t])^2``; the trend is the least-squares slope per
    step. A statistic that cannot be computed from the observed steps is NaN.

    >>> node_statistics(torch.tensor([1.0, 2.0, 3.0])[None, :, None]).flatten().tolist()
    [2.0, 0.6666666865348816, 1.0, 1.0]
    """
    seen = ~x.isnan()
    mean = x.nanmean(dim=1)
    centered = x - mean[:, None]
    steps = torch.arange(x.shape[1], dtype=x.dtype)[:, None].expand_as(x).masked_fill(~seen, torch.nan)
    steps = steps - steps.nanmean(dim=1, keepdim=True)
    slope = (steps * centered).nansum(dim=1) / steps.square().nansum(dim=1)
    energy = x.diff(dim=1).square().nanmean(dim=1)
    return torch.stack([mean, centered.square().nanmean(dim=1), energy, slope], dim=2)
