"""Stationarity of windows of time series, for samplers that weight samples by it."""

from __future__ import annotations

import torch
from torch import Tensor

from graphprune.errors import InputError
from graphprune.runtime.math import relative_ranks


def roughness(windows: Tensor) -> Tensor:
    """Roughness of each window: lag-1 energy and change between its two halves.

    Energy is the mean of ``(x[t+1] - x[t])^2``; change is ``(mean_1 - mean_2)^2 + |var_1 - var_2|`` between
    the first and the second half (the middle step of an odd length is in neither), averaged over series.
    Missing values (NaN) are left out; a window without any value has roughness 0.

    Args:
        windows: Inputs ``[B, T, ...]``, T >= 2; all further dimensions are series.

    Returns:
        ``[B, 2]`` float32.

    >>> roughness(torch.tensor([[[1.0], [1.0], [3.0], [3.0]]])).tolist()
    [[1.3333333730697632, 4.0]]
    """
    if windows.dim() < 2 or windows.shape[1] < 2:
        raise InputError(f"windows have shape {list(windows.shape)}; give [B, T, ...] with T >= 2")
    x = windows.to(torch.float32).flatten(2) if windows.dim() > 2 else windows.to(torch.float32)[:, :, None]
    half = x.shape[1] // 2
    energy = x.diff(dim=1).square().flatten(1).nanmean(dim=1)
    first, second = (_moments(part) for part in (x[:, :half], x[:, x.shape[1] - half :]))
    change = ((first[0] - second[0]).square() + (first[1] - second[1]).abs()).nanmean(dim=1)
    return torch.stack([energy, change], dim=1).nan_to_num(nan=0.0)


def stationarity(rough: Tensor) -> Tensor:
    """Stationarity in [0, 1] of each of n windows from their `roughness` ``[n, 2]``.

    One minus the mean of the two ranks, each divided by n - 1, so the window with the least energy and the least
    change has 1. This is graphprune's own formulation.

    >>> stationarity(torch.tensor([[0.1, 0.0], [0.5, 2.0], [0.3, 1.0]])).tolist()
    [1.0, 0.0, 0.5]
    """
    ranks = [relative_ranks(column) for column in rough.unbind(1)]
    return 1 - torch.stack(ranks).mean(dim=0)


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    mean = x.nanmean(dim=1)
    return mean, (x - mean[:, None]).square().nanmean(dim=1)
