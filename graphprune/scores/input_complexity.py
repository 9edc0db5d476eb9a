"""How complex a window is by its input alone: a control that trains nothing."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from graphprune.data.windows import WindowSamples
from graphprune.scores.st_complexity import standardised


def input_complexity(samples: WindowSamples, *, block_size: int | None = None) -> npt.NDArray[np.float32]:
    r"""Standardised spectral entropy plus standardised lag-1 energy of each window's input, ``[N]`` float32.

    .. math:: S = z(H) + z(G), \quad H = -\sum_f p_f \log p_f / \log F, \quad
        G = \mathrm{mean}_t (x_{t+1} - x_t)^2

    p is the power spectrum of the target channel without its mean, divided by its sum. Both are means over
    the sensors of a window. graphprune formulation. Cost: O(N T log T) time.
    """
    parts = [
        spectral_entropy_and_energy(samples.readings(rows, past=True)) for rows in samples.blocks(block_size)
    ]
    entropy, energy = torch.cat(parts).double().unbind(1)
    everyone = torch.ones(len(entropy), dtype=torch.bool)
    return (standardised(entropy, everyone) + standardised(energy, everyone)).float().numpy()


def spectral_entropy_and_energy(x: Tensor) -> Tensor:
    """Entropy in [0, 1] and lag-1 energy, ``[B, 2]``, of windows ``[B, T, nodes]``, NaN where missing.

    A missing step counts as its node's mean in the spectrum and is left out of the energy. Constant nodes and
    wholly missing ones have no spectrum: entropy 0.
    """
    centred = (x - x.nanmean(dim=1, keepdim=True)).nan_to_num(nan=0.0)
    power = torch.fft.rfft(centred, dim=1).abs().square()[:, 1:]
    total = power.sum(dim=1, keepdim=True)
    # Roundings of a constant node are no spectrum.
    empty = total <= 1e-10 * x.square().nansum(dim=1, keepdim=True).clamp(min=1e-20)
    share = (power / total.masked_fill(empty, 1)).masked_fill(empty, 0)
    entropy = torch.special.entr(share).sum(dim=1) / math.log(max(2, power.shape[1]))
    energy = x.diff(dim=1).square().nanmean(dim=1)
    return torch.stack([entropy.mean(dim=1), energy.nanmean(dim=1).nan_to_num(nan=0.0)], dim=1)
