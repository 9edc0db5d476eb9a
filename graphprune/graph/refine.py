"""Exact distances of candidate neighbors, and a second search for rows whose candidates may be incomplete."""

from __future__ import annotations

import torch
from torch import Tensor

from graphprune.graph.points import BLOCK, Points

# Elements of a gathered [rows, candidates, D] block, which fits in a CPU's cache.
_GATHERED = 1_000_000


def exact_distances(
    database: Points, q: Tensor, candidates: Tensor, *, excluded: Tensor | None = None
) -> Tensor:
    """Distances ``[B, m]`` float32 between ``q [B, D]`` and its ``candidates [B, m]``, in scaled units.

    They are computed from differences, so duplicates have distance 0 and each distance depends on its two points
    only. ``inner`` gives minus the product; ``cosine`` half the squared difference of unit vectors (1 - cos).
    """
    step = max(1, _GATHERED // (candidates.shape[1] * database.dim))
    room = torch.empty(min(step, len(q)) * candidates.shape[1], database.dim, device=database.device)
    parts = []
    for start in range(0, len(q), step):
        y = database.take(candidates[start : start + step], out=room)
        parts.append(_distance_into(y, q[start : start + step, None], database))
    exact = torch.cat(parts)
    return exact if excluded is None else exact.masked_fill_(excluded, torch.inf)


def order_by_distance(exact: Tensor, candidates: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The ``k`` nearest candidates of each row, ties to the lower candidate: distances and rows, both ``[B, k]``."""
    candidates, order = candidates.sort(dim=1)
    exact, by_distance = exact.gather(1, order).sort(dim=1, stable=True)
    return exact[:, :k].contiguous(), candidates.gather(1, by_distance[:, :k])


class Repair:
    """Repair: search single rows again so that rounding errors cannot hide a neighbor.

    The k-th distance of the candidates is an upper bound of the true one. The exact distance of every point is
    computed that a float64 product places within that bound plus its proven rounding error. Rows with more than
    ``k`` exact duplicates get their neighbors from groups of equal rows.

    Cost: O(n D) time per row; O(n) memory per row and O(ties).
    """

    def __init__(self, database: Points, k: int) -> None:
        self.database = database
        self.k = k
        self._groups: tuple[Tensor, Tensor, Tensor] | None = None

    def __call__(self, q: Tensor, found: Tensor, own: Tensor | None) -> tuple[Tensor, Tensor]:
        """Distances and rows, both ``[B, k]``, of ``q [B, D]`` whose candidates have the distances ``found [B, k]``."""
        distances = torch.empty_like(found)
        rows = torch.empty(found.shape, dtype=torch.int64, device=found.device)
        own = torch.full((len(q),), -1, device=q.device) if own is None else own
        settled = torch.zeros(len(q), dtype=torch.bool, device=q.device)
        if self.database.metric != "inner" and bool((found[:, -1] == 0).any()):
            settled, duplicates = self._duplicates(q, own)
            distances[settled], rows[settled] = 0.0, duplicates
        left = (~settled).nonzero().flatten()
        step = max(1, 16_777_216 // self.database.n)
        for start in range(0, len(left), step):
            part = left[start : start + step]
            distances[part], rows[part] = self._measure_all_near(q[part], found[part, -1], own[part])
        return distances, rows

    def _measure_all_near(self, q: Tensor, bound: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        """Exact neighbors of ``q [B, D]``, whose distances are at most ``bound [B]``."""
        pairs, lengths = [], []
        inner = self.database.metric == "inner"
        # Allows for float32 rounding errors of the exact distances behind the bound, and of this product.
        limit = comparable(bound[:, None].to(torch.float64), self.database)
        limit = limit + (self.database.dim + 8) * 2.0**-23 * limit.abs()
        slack = (self.database.dim + 8) * (2.0**-23 if inner else 2.0**-52)
        wide = q.to(torch.float64) if inner else q.to(torch.float64) - self.database.center
        norms = wide.square().sum(dim=1, keepdim=True)
        for first in range(0, self.database.n, BLOCK):
            other = self.database.block(first, first + BLOCK).to(torch.float64)
            other = other if inner else other - self.database.center
            other_norms = other.square().sum(dim=1)
            product = wide @ other.T
            key = -product if inner else norms + other_norms - 2 * product
            near = (key - slack * (norms + other_norms) <= limit).nonzero()
            near[:, 1] += first
            near = near[near[:, 1] != own[near[:, 0]]]
            for part in near.split(max(1, _GATHERED // self.database.dim)):
                pairs.append(part)
                y = self.database.take(part[:, 1])
                lengths.append(_distance_into(y, q[part[:, 0]], self.database))
        pair, length = torch.cat(pairs), torch.cat(lengths)
        pair = pair[order := torch.argsort(pair[:, 0], stable=True)]
        return _first_of_each(pair, length[order], len(q), self.k)

    def _duplicates(self, q: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        """Which rows of ``q`` have more than ``k`` duplicates ``[B]`` bool, and the ``k`` lowest of each."""
        if self._groups is None:
            starts = range(0, self.database.n, BLOCK)
            parts = [_hash(self.database.block(s, s + BLOCK)) for s in starts]
            hashes, members = torch.cat(parts).sort(stable=True)
            self._groups = hashes, members, torch.arange(self.k + 1, device=hashes.device)
        hashes, members, ranks = self._groups
        mine = _hash(q)
        first, last = torch.searchsorted(hashes, mine), torch.searchsorted(hashes, mine, right=True)
        enough = last - first > self.k
        first, own, q = first[enough], own[enough], q[enough]
        lowest = members[first[:, None] + ranks]
        # Moves the own row, if it is among them, behind the others.
        order = torch.argsort((lowest == own[:, None]).to(torch.int8), dim=1, stable=True)
        lowest = lowest.gather(1, order)[:, : self.k]
        equal = (exact_distances(self.database, q, lowest) == 0).all(dim=1)
        settled = enough.clone()
        settled[enough] = equal
        return settled, lowest[equal]


def _distance_into(y: Tensor, q: Tensor, database: Points) -> Tensor:
    """Distances over the last dimension; overwrites ``y``."""
    if database.metric == "inner":
        return -y.mul_(q).sum(dim=-1)
    length: Tensor = torch.linalg.vector_norm(y.sub_(q), dim=-1)
    return length.square() / 2 if database.metric == "cosine" else length


def comparable(distances: Tensor, database: Points) -> Tensor:
    """Distances on the scale of the product: squared lengths, or minus the inner product."""
    if database.metric == "euclidean":
        return distances.square()
    return 2 * distances if database.metric == "cosine" else distances


def _first_of_each(pair: Tensor, length: Tensor, count: int, k: int) -> tuple[Tensor, Tensor]:
    """The ``k`` shortest pairs of each of ``count`` groups; ``pair [P, 2]`` is sorted by group, then row."""
    order = torch.argsort(length, stable=True)
    order = order[torch.argsort(pair[order, 0], stable=True)]
    pair, length = pair[order], length[order]
    start = torch.searchsorted(pair[:, 0].contiguous(), torch.arange(count, device=pair.device))
    at = start[:, None] + torch.arange(k, device=pair.device)
    return length[at], pair[at, 1]


def _hash(x: Tensor) -> Tensor:
    """``[B]`` int64, equal for equal rows of ``x [B, D]`` float32 (adding 0 turns -0 into 0)."""
    bits = (x + 0.0).contiguous().view(torch.int32).to(torch.int64)
    odd = torch.randint(2**62, (x.shape[1],), generator=torch.Generator().manual_seed(0)) * 2 + 1
    return (bits * odd.to(x.device)).sum(dim=1)
