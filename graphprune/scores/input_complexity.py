"""Input complexity of windows: a control that needs no training."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from graphprune.data.windows import WindowSamples
from graphprune.scores.st_complexity import standardized


def input_complexity(samples: WindowSamples, *, block_size: int | None = None) -> npt.NDArray[np.float32]:
    r"""Computes standardized spectral entropy plus standardized lag-1 energy of each window's input, ``[N]`` float32.

    .. math:: S = z(H) + z(G), \quad H = -\sum_f p_f \log p_f / \log F, \quad
        G = \mathrm{mean}_t (x_{t+1} - x_t)^2

    p is the power spectrum of the target channel (minus its mean), divided by its sum. Both terms are means over the
    sensors of a window. graphprune formulation.

    Cost: O(N T log T) time.
    """
    parts = [
        spectral_entropy_and_energy(samples.readings(rows, past=True)) for rows in samples.blocks(block_size)
    ]
    entropy, energy = torch.cat(parts).double().unbind(1)
    everyone = torch.ones(len(entropy), dtype=torch.bool)
    return (standardized(entropy, everyone) + standardized(energy, everyone)).float().numpy()


def spectral_entropy_and_energy(x: Tensor) -> Tensor:
    """Computes entropy in [0, 1] and lag-1 energy, ``[B, 2]``, of windows ``[B, T, nodes]`` with NaN if missing.

    A missing step counts as its node's mean in the spectrum and is omitted from the energy. Nodes that are constant
    or have no observed step have no spectrum and get entropy 0.

    >>> flat, alternating = torch.ones(4), torch.tensor([1.0, -1.0, 1.0, -1.0])
    >>> spectral_entropy_and_energy(torch.stack([flat, alternating])[:, :, None]).tolist()
    [[0.0, 0.0], [0.0, 4.0]]
    """
    centered = (x - x.nanmean(dim=1, keepdim=True)).nan_to_num(nan=0.0)
    power = torch.fft.rfft(centered, dim=1).abs().square()[:, 1:]
    total = power.sum(dim=1, keepdim=True)
    # Treat rounding errors of a constant node as no spectrum.
    empty = total <= 1e-10 * x.square().nansum(dim=1, keepdim=True).clamp(min=1e-20)
    share = (power / total.masked_fill(empty, 1)).masked_fill(empty, 0)
    entropy = torch.special.entr(share).sum(dim=1) / math.log(max(2, power.shape[1]))
    energy = x.diff(dim=1).square().nanmean(dim=1)
    return torch.stack([entropy.mean(dim=1), energy.nanmean(dim=1).nan_to_num(nan=0.0)], dim=1)
