"""Augmentation of whole batches on their device."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from graphprune.errors import InputError


def augment(
    x: Tensor,
    kinds: Sequence[str],
    generator: torch.Generator,
    *,
    padding: int = 4,
    cutout: int | None = None,
    part: tuple[Tensor, int] | None = None,
) -> Tensor:
    """Random crops, mirror images and erased squares.

    ``crop``: zero padding, then a window of the old size. ``flip``: left to right, half of the images.
    ``cutout``: a square around a random pixel becomes 0, the mean of standardized images (DeVries & Taylor,
    arXiv 1708.04552); it may reach over the border.

    Args:
        x: ``[B, C, H, W]``.
        kinds: Of ``crop``, ``flip`` and ``cutout``.
        generator: Lives on the CPU; only its few draws travel.
        padding: Pixels of a crop's border.
        cutout: Side of the erased square (default: half of the image's shorter side).
        part: Positions ``[B]`` of these images in a batch of so many, of which other processes hold the rest:
            an image is then augmented as it would be in the whole batch.

    Shapes: ``[B, C, H, W]`` -> the same.

    Raises:
        InputError: ``x`` has no four dimensions.
    """
    if x.dim() != 4:
        raise InputError(f"augmentation needs images [B, C, H, W], not {list(x.shape)}; set augment: []")
    n, _, height, width = x.shape
    positions, total = part or (slice(None), n)
    if "crop" in kinds:
        drawn = torch.randint(0, 2 * padding + 1, (2, total, 1), generator=generator)
        offsets = drawn[:, positions].to(x.device, non_blocking=True)
        rows = offsets[0] + torch.arange(height, device=x.device)
        columns = offsets[1] + torch.arange(width, device=x.device)
        padded = pad(x, (padding,) * 4)
        sample = torch.arange(n, device=x.device)[:, None, None]
        x = padded.permute(0, 2, 3, 1)[sample, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)
    if "flip" in kinds:
        mirrored = (torch.rand(total, generator=generator) < 0.5)[positions].to(x.device, non_blocking=True)
        x = torch.where(mirrored[:, None, None, None], x.flip(3), x)
    if "cutout" in kinds:
        side = cutout or max(1, min(height, width) // 2)
        where = torch.rand(2, total, 1, generator=generator)[:, positions].to(x.device, non_blocking=True)
        covered = []
        for at, size in zip(where, (height, width), strict=True):
            start = (at * size).long() - side // 2
            pixel = torch.arange(size, device=x.device)
            covered.append((pixel >= start) & (pixel < start + side))
        erased = covered[0][:, :, None] & covered[1][:, None, :]
        x = x.masked_fill(erased[:, None], 0)
    return x
