"""Augmentation of whole batches on their device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad


def augment(x: Tensor, kinds: Sequence[str], generator: torch.Generator, *, padding: int = 4) -> Tensor:
    """Random crops (``crop``: zero padding, then a window of the old size) and mirror images (``flip``).

    Shapes: ``x [B, C, H, W]`` -> the same. ``generator`` lives on the CPU; only its few draws travel.
    """
    n, _, height, width = x.shape
    if "crop" in kinds:
        offsets = torch.randint(0, 2 * padding + 1, (2, n, 1), generator=generator).to(x.device)
        rows = offsets[0] + torch.arange(height, device=x.device)
        columns = offsets[1] + torch.arange(width, device=x.device)
        padded = pad(x, (padding,) * 4)
        sample = torch.arange(n, device=x.device)[:, None, None]
        x = padded.permute(0, 2, 3, 1)[sample, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    if "flip" in kinds:
        mirrored = (torch.rand(n, generator=generator) < 0.5).to(x.device)
        x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
    return x
