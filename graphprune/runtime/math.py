"""Shared arithmetic: ranks, correlation, standardization and class shares."""

from __future__ import annotations

import torch
from torch import Tensor


def highest(scores: Tensor, count: int) -> Tensor:
    """Rows of the ``count`` largest scores; ties go to the lower row.

    >>> highest(torch.tensor([1.0, 3.0, 3.0]), 2).tolist()
    [1, 2]
    """
    return torch.sort(scores, descending=True, stable=True).indices[:count]


def share_by_class(labels: Tensor, count: int) -> dict[int, int]:
    """Split ``count`` among the classes in proportion to their sizes, with the largest-remainder method.

    >>> share_by_class(torch.tensor([0, 0, 0, 1]), 2)
    {0: 2, 1: 0}
    """
    classes, sizes = torch.unique(labels, return_counts=True)
    # Integer arithmetic, because rounding would make equal remainders differ.
    shares = sizes * count // len(labels)
    missing = count - int(shares.sum())
    shares[highest(sizes * count % len(labels), missing)] += 1
    return dict(zip(classes.tolist(), shares.tolist(), strict=True))


def standardize(x: Tensor) -> Tensor:
    """Scale the columns of ``x [N, F]`` to mean 0 and standard deviation 1; constant columns become 0."""
    spread = x.std(dim=0, correction=0)
    return (x - x.mean(dim=0)) / torch.where(spread > 0, spread, 1)


def pearson(a: Tensor, b: Tensor) -> float:
    """Pearson correlation of two vectors ``[M]``; 0 if one of them is constant."""
    a, b = (a - a.mean()).to(torch.float64), (b - b.mean()).to(torch.float64)
    scale = float(a.norm() * b.norm())
    return float(a @ b) / scale if scale > 0 else 0.0


def middle_rank(values: Tensor, among: Tensor) -> Tensor:
    """Fraction of ``among [M]`` below each of ``values [N]``, counting equal ones half: ``[N]`` float64 in 0..1.

    >>> middle_rank(torch.tensor([2.0]), torch.tensor([1.0, 2.0, 3.0, 4.0])).tolist()
    [0.375]
    """
    among = among.sort().values
    values = values.contiguous()
    below = torch.searchsorted(among, values)
    upto = torch.searchsorted(among, values, right=True)
    return (below + upto).to(torch.float64) / (2 * len(among))


def relative_ranks(values: Tensor) -> Tensor:
    """Ranks of ``values [n]`` divided by n - 1, so from 0 to 1; ties get their mean rank.

    >>> relative_ranks(torch.tensor([3.0, 1.0, 3.0])).tolist()
    [0.75, 0.0, 0.75]
    """
    _, group, sizes = torch.unique(values, return_inverse=True, return_counts=True)
    ends = sizes.cumsum(0).double()
    ranks: Tensor = (ends - (sizes - 1) / 2 - 1)[group]
    return (ranks / max(len(values) - 1, 1)).to(torch.float32)
