"""k-means in blocks on torch: the same generator gives the same clusters on any number of threads."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import embedding_bag

from graphprune.errors import InputError

_BLOCK = 16_384
# `kmeans_1d` is exact up to this many distinct values; more are first merged into about as many intervals.
_EXACT = 512


def kmeans(
    points: Tensor,
    k: int,
    *,
    generator: torch.Generator,
    iterations: int = 25,
    restarts: int = 1,
    max_points: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Lloyd's algorithm from k-means++ starts; the start with the smallest inertia is used.

    scikit-learn adds the partial sums of its threads in the order in which they finish, so its clusters differ
    in the last bits from run to run; here each center is a single sum in row order.

    Args:
        points: ``[N, D]`` float32 or float64, finite.
        k: Clusters, 1 to N.
        generator: CPU generator of the starts.
        iterations: Largest number of Lloyd steps (default: 25).
        restarts: Number of starts (default: 1).
        max_points: Largest number of random rows to fit the centers on (default: all); all rows are assigned.

    Returns:
        Centers ``[k, D]`` and labels ``[N]`` int64. A cluster is empty only if fewer than k points are distinct.

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
        centers, inertia = _lloyd(sample, _spread_start(sample, k, generator), iterations)
        if inertia < least:
            best, least = centers, inertia
    return best, nearest_center(points, best)[0]


def kmeans_1d(values: Tensor, k: int) -> Tensor:
    """k-means of numbers, without a random start; groups are in ascending order.

    Optimal groups of numbers are intervals, so dynamic programming finds the best ones. It is exact for up to
    512 distinct values. More values are first merged into about 512 intervals (half of equal count, half of
    equal width, so that both the bulk and a heavy tail are resolved). Then Lloyd steps on all values move the borders
    to a local optimum; each takes O(k log N) with prefix sums.

    Args:
        values: ``[N]`` floating point, finite.
        k: Groups, 1 to 256.

    Returns:
        Groups ``[N]`` int64: ``0..k-1``, or fewer if fewer than k values are distinct. No group is empty.

    Cost: O(N log N) time, O(N) memory.

    Reference: Wang & Song, The R Journal 3(2), 2011 (dynamic programming).

    >>> kmeans_1d(torch.tensor([9.0, 0.1, 0.2, 30.0, 0.0]), 3).tolist()
    [1, 0, 0, 2, 0]
    """
    if not 1 <= k <= 256:
        raise InputError(f"k is {k} groups of numbers; use 1 to 256")
    distinct, place, counts = torch.unique(values, return_inverse=True, return_counts=True)
    k = min(k, len(distinct))
    x, weights = distinct.double(), counts.double()
    x = x - (x * weights).sum() / weights.sum()
    # Rows: number of values, their sum, and their sum of squares, up to each distinct value.
    sums = torch.stack([weights, weights * x, weights * x * x]).cumsum(1)
    sums = torch.cat([torch.zeros(3, 1, dtype=sums.dtype), sums], dim=1)
    edges = _edges(x, sums[0])
    borders = edges[_best_intervals(sums[:, edges], k)]
    while True:
        size, total, _ = sums[:, borders].diff(dim=1)
        means = total / size
        middles = torch.searchsorted(x, (means[1:] + means[:-1]) / 2)
        moved = torch.cat([borders[:1], middles, borders[-1:]])
        if torch.equal(moved, borders) or bool((moved.diff() == 0).any()):
            return torch.searchsorted(borders[1:-1].contiguous(), place, right=True)
        borders = moved


def _edges(x: Tensor, counts: Tensor) -> Tensor:
    """Positions ``0 = e_0 < ... < e_M = len(x)`` of the intervals that dynamic programming joins."""
    if len(x) <= _EXACT:
        return torch.arange(len(x) + 1)
    shares = torch.linspace(0, 1, _EXACT // 2 + 1, dtype=x.dtype)
    by_count = torch.searchsorted(counts, shares * counts[-1])
    by_width = torch.searchsorted(x, x[0] + shares * (x[-1] - x[0]))
    ends = torch.tensor([0, len(x)])
    edges: Tensor = torch.unique(torch.cat([by_count.clamp_max(len(x)), by_width, ends]))
    return edges


def _best_intervals(sums: Tensor, k: int) -> Tensor:
    """The ``k + 1`` edges of the k joined intervals with the smallest sum of squares ``[k + 1]`` int64."""
    size, total, squares = sums[:, None, :] - sums[:, :, None]
    cost = squares - total.square() / size
    cost = torch.where(size > 0, cost.clamp_min(0), torch.inf)
    best, before = cost[0], []
    for _ in range(k - 1):
        best, choice = (best[:, None] + cost).min(dim=0)
        before.append(choice)
    edges = [len(best) - 1]
    for choice in reversed(before):
        edges.append(int(choice[edges[-1]]))
    return torch.tensor([0, *reversed(edges)])


def nearest_center(points: Tensor, centers: Tensor) -> tuple[Tensor, Tensor]:
    """Labels ``[N]`` int64 and squared distances ``[N]`` of points ``[N, D]`` to centers ``[k, D]``."""
    half_norms = centers.square().sum(dim=1) / 2
    labels, distances = [], []
    for block in torch.split(points, _BLOCK):
        best, label = (half_norms - block @ centers.T).min(dim=1)
        labels.append(label)
        distances.append((2 * best + block.square().sum(dim=1)).clamp_min(0))
    return torch.cat(labels), torch.cat(distances)


def _spread_start(points: Tensor, k: int, generator: torch.Generator) -> Tensor:
    """k-means++: draws each next center with a probability proportional to its squared distance to the nearest one."""
    draws = torch.rand(k, generator=generator, dtype=torch.float64).to(points.device)
    chosen = [(draws[:1] * len(points)).long()]
    distances = torch.full((len(points),), float("inf"), dtype=points.dtype, device=points.device)
    for draw in draws[1:]:
        distances = torch.minimum(distances, (points - points[chosen[-1]]).square().sum(dim=1))
        mass = distances.double().cumsum(0)
        chosen.append(torch.searchsorted(mass, (draw * mass[-1:]), right=True).clamp_max(len(points) - 1))
    return points[torch.cat(chosen)]


def _lloyd(points: Tensor, centers: Tensor, iterations: int) -> tuple[Tensor, float]:
    labels, distances = nearest_center(points, centers)
    for _ in range(iterations):
        order = torch.argsort(labels, stable=True)
        sizes = torch.bincount(labels, minlength=len(centers))
        means = embedding_bag(order, points, sizes.cumsum(0) - sizes, mode="mean")
        # An empty cluster moves to the point with the largest distance to its center, so it cannot stay empty.
        empty = torch.nonzero(sizes == 0).squeeze(1)
        means[empty] = points[torch.topk(distances, len(empty)).indices]
        before = labels
        centers = means
        labels, distances = nearest_center(points, centers)
        if torch.equal(labels, before):
            break
    return centers, float(distances.double().sum())
