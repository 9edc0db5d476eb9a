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
    """Applies random crops, mirror images and erased squares to a batch of images.

    ``crop``: zero padding, then a window of the original size. ``flip``: half of the images are mirrored
    horizontally. ``cutout``: a square around a random pixel is set to 0, the mean of standardized images (DeVries &
    Taylor, arXiv 1708.04552); it may extend beyond the border.

    Args:
        x: ``[B, C, H, W]``.
        kinds: Any of ``crop``, ``flip`` and ``cutout``.
        generator: Generator on the CPU; only a few numbers per image are copied to the device.
        padding: Pixels of padding on each side for ``crop``.
        cutout: Side of the erased square (default: half of the image's shorter side).
        part: Positions ``[B]`` of these images in a larger batch, and that batch's size: each image is augmented as
            in the whole batch. Used if other processes have the rest of the batch.

    Shapes: ``[B, C, H, W]`` -> the same.

    Raises:
        InputError: ``x`` does not have four dimensions.
    """
    if x.dim() != 4:
        raise InputError(f"augmentation needs images [B, C, H, W], received {list(x.shape)}; set augment: []")
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
