"""k-means in blocks on torch: the same clusters for the same generator, on any number of threads."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from graphprune.errors import InputError

_BLOCK = 16_384


def kmeans(
    points: Tensor,
    k: int,
    *,
    generator: torch.Generator,
    iterations: int = 25,
    restarts: int = 1,
    max_points: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Lloyd's algorithm from k-means++ starts; the start with the least inertia wins.

    scikit-learn adds its threads' partial sums in the order in which they finish, so its clusters differ
    in the last bits from run to run; here each centre is one sum in row order.

    Args:
        points: ``[N, D]`` float32 or float64, finite.
        k: Clusters, 1 to N.
        generator: CPU generator of the starts.
        iterations: At most so many Lloyd steps (default: 25).
        restarts: Starts to try (default: 1).
        max_points: Fit the centres on at most so many random rows (default: all), then assign all.

    Returns:
        Centres ``[k, D]`` and labels ``[N]`` int64. A cluster is empty only if fewer than k points differ.

    Cost: O(restarts * iterations * N k D) time, O(N + k D) memory.

    Reference: Arthur & Vassilvitskii, SODA 2007.

    >>> points = torch.tensor([[0.0], [0.1], [5.0], [5.1]])
    >>> _, labels = kmeans(points, 2, generator=torch.Generator().manual_seed(0))
    >>> bool(labels[0] == labels[1]), bool(labels[0] == labels[2])
    (True, False)
    """
    if not 1 <= k <= len(points):
        raise InputError(f"k is {k} clusters for {len(points)} points; use 1 to {len(points)}")
    sample = points
    if max_points is not None and max(max_points, k) < len(points):
        rows = torch.randperm(len(points), generator=generator)[: max(max_points, k)].sort().values
        sample = points[rows.to(points.device)]
    best, least = sample[:k], float("inf")
    for _ in range(restarts):
        centres, inertia = _lloyd(sample, _spread_start(sample, k, generator), iterations)
        if inertia < least:
            best, least = centres, inertia
    return best, nearest_centre(points, best)[0]


def nearest_centre(points: Tensor, centres: Tensor) -> tuple[Tensor, Tensor]:
    """Labels ``[N]`` int64 and squared distances ``[N]`` of points ``[N, D]`` to centres ``[k, D]``."""
    half_norms = centres.square().sum(dim=1) / 2
    labels, distances = [], []
    for block in torch.split(points, _BLOCK):
        best, label = (half_norms - block @ centres.T).min(dim=1)
        labels.append(label)
        distances.append((2 * best + block.square().sum(dim=1)).clamp_min(0))
    return torch.cat(labels), torch.cat(distances)


def _spread_start(points: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """k-means++: each next centre is drawn with probability ~ squared distance to the nearest so far."""
    draws = torch.rand(k, generator=generator, dtype=torch.float64).to(points.device)
    chosen = [(draws[:1] * len(points)).long()]
    distances = torch.full((len(points),), float("inf"), dtype=points.dtype, device=points.device)
    for draw in draws[1:]:
        distances = torch.minimum(distances, (points - points[chosen[-1]]).square().sum(dim=1))
        mass = distances.double().cumsum(0)
        chosen.append(torch.searchsorted(mass, (draw * mass[-1:]), right=True).clamp_max(len(points) - 1))
    return points[torch.cat(chosen)]


def _lloyd(points: Tensor, centres: Tensor, iterations: int) -> tuple[Tensor, float]:
    labels, distances = nearest_centre(points, centres)
    for _ in range(iterations):
        order = torch.argsort(labels, stable=True)
        sizes = torch.bincount(labels, minlength=len(centres))
        means = embedding_bag(order, points, sizes.cumsum(0) - sizes, mode="mean")
        # An empty cluster takes over the point that is worst served, so that it cannot stay empty.
        empty = torch.nonzero(sizes == 0).squeeze(1)
        means[empty] = points[torch.topk(distances, len(empty)).indices]
        before = labels
        centres = means
        labels, distances = nearest_centre(points, centres)
        if torch.equal(labels, before):
            break
    return centres, float(distances.double().sum())
