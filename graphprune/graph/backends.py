"""Exact nearest neighbors in blocks: a fast matrix product proposes candidates, exact distances rank them."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor

from graphprune.graph.points import Points
from graphprune.graph.proposals import Precision, Proposer, formats
from graphprune.graph.refine import Repair, comparable, exact_distances, order_by_distance

# Queries per slab, whose candidates are in memory at once; the first slab is small, because it decides whether the
# coarse number format suffices. Last: database rows per matrix product.
_FIRST_SLAB = 2048
_QUERY_SLAB = 32_768
_DATABASE_SLAB = 65_536


@torch.no_grad()
def exact_search(
    database: Points,
    queries: Points,
    k: int,
    *,
    own: Tensor | None = None,
    block_size: int = 1024,
    precision: Precision = "auto",
) -> tuple[Tensor, Tensor]:
    r"""Finds the ``k`` nearest rows of ``database`` for each row of ``queries``.

    A matrix product in int8, bfloat16 or float32 approximates a block of distances (see `Proposer`); its
    ``fetch > k`` best candidates are ranked again by float32 distances of the differences, ties to the lower row. A
    row is accepted if every point outside its candidates is farther than the k-th neighbor by more than twice the
    largest error among the candidates. Other rows are searched again with a proven bound; if they are many, all
    rows are searched again in a finer format. So the result does not depend on the block size, and it depends on
    the format with a probability below 1e-5 per row.

    Args:
        database: The points searched, ``n`` rows.
        queries: The points whose neighbors are requested, ``Q`` rows, same metric and scale.
        k: Neighbors, at most ``database.n``.
        own: Database row of each query, ``[Q]`` int64, -1 for none (default: none); it is not returned as a
            neighbor. If fewer than ``k`` other rows exist, the rest is padded with the own row at distance ``inf``.
        block_size: Queries per matrix product.
        precision: Number format of the product; ``auto`` follows the rule in `formats`.

    Returns:
        Distances ``[Q, k]`` float32 ascending, and database rows ``[Q, k]`` int64, both on the CPU.

    Cost: O(Q n D) time; O(block_size * 65,536) memory besides the points.
    """
    proposers = [Proposer(database, dtype) for dtype in formats(database, precision)]
    repair = Repair(database, k)
    distances = torch.empty(queries.n, k)
    rows = torch.empty(queries.n, k, dtype=torch.int64)
    with torch.autocast(database.device.type, enabled=False):
        for start, stop in pairwise((0, *range(_FIRST_SLAB, queries.n, _QUERY_SLAB), queries.n)):
            q = queries.block(start, stop)
            mine = None if own is None else own[start:stop].to(database.device)
            found, nearest, doubtful = _search_slab(database, q, k, mine, block_size, proposers[0])
            while len(proposers) > 1 and 8 * len(doubtful) > len(q):
                del proposers[0]
                found, nearest, doubtful = _search_slab(database, q, k, mine, block_size, proposers[0])
            if len(doubtful):
                again = None if mine is None else mine[doubtful]
                found[doubtful], nearest[doubtful] = repair(q[doubtful], found[doubtful], again)
            if mine is not None:
                nearest = torch.where(found.isinf(), mine[:, None], nearest)
            if database.metric == "inner":
                found = found * database.scale
            distances[start:stop] = (found * database.scale).cpu()
            rows[start:stop] = nearest.cpu()
    return distances, rows


def _search_slab(
    database: Points, q: Tensor, k: int, own: Tensor | None, block_size: int, proposer: Proposer
) -> tuple[Tensor, Tensor, Tensor]:
    """Distances and rows ``[B, k]`` of the neighbors of ``q [B, D]``, and which rows must be searched again."""
    approximate, candidates = _propose(database, q, k, own, block_size, proposer)
    exact = exact_distances(database, q, candidates, excluded=approximate == torch.inf)
    found, nearest = order_by_distance(exact, candidates, k)
    if candidates.shape[1] == database.n:
        return found, nearest, torch.empty(0, dtype=torch.int64)
    # Only points whose approximate distance is too large could be missed.
    error = (approximate - comparable(exact, database)).nan_to_num(0.0).amax(dim=1)
    worst = approximate[:, -1]
    limit = worst - torch.maximum(2 * error, proposer.rounding(worst))
    return found, nearest, (~(limit > comparable(found[:, -1], database))).nonzero().flatten()


def _propose(
    database: Points, q: Tensor, k: int, own: Tensor | None, block_size: int, proposer: Proposer
) -> tuple[Tensor, Tensor]:
    """The best candidates of ``q [B, D]``: approximate distances, as from `comparable`, and rows, ``[B, fetch]``."""
    exactly = proposer.dtype == torch.float32
    fetch = min(database.n, k + k // 4 + 8 if exactly else 2 * k + 8)
    left = proposer.queries(q)
    best: tuple[Tensor, Tensor] | None = None
    width = min(_DATABASE_SLAB, database.n)
    buffer = proposer.buffer(min(block_size, len(q)) * width, database.device)
    for first in range(0, database.n, width):
        right = proposer.candidates(database.block(first, first + width))
        found = []
        for row in range(0, len(q), block_size):
            scores = proposer.scores(left[row : row + block_size], right, buffer)
            if own is not None:
                column = own[row : row + block_size] - first
                here = ((column >= 0) & (column < scores.shape[1])).nonzero().flatten()
                scores[here, column[here]] = proposer.least
            found.append(largest(scores, min(fetch, scores.shape[1])))
        values, rows = torch.cat([f[0] for f in found]), torch.cat([f[1] for f in found]) + first
        if best is not None:
            values, rows = torch.cat([best[0], values], dim=1), torch.cat([best[1], rows], dim=1)
            values, order = values.topk(min(fetch, values.shape[1]), dim=1)
            rows = rows.gather(1, order)
        best = values, rows
    assert best is not None
    approximate = proposer.comparable(best[0].to(torch.float32), left)
    return approximate.masked_fill_(best[0] == proposer.least, torch.inf), best[1]


def largest(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The ``count`` largest of each row of ``scores [B, n]`` and their columns, both ``[B, count]``, descending.

    Like ``topk``, but twice as fast on long rows: the largest values are in those ``count`` groups of 8 columns that
    have the largest maxima, and these groups are found in the same way among groups of 8 groups.
    """
    coarse = scores.shape[1] // 64
    if coarse < 2 * count:
        top = scores.topk(count, dim=1)
        return top.values, top.indices
    grouped = scores[:, : 64 * coarse].view(-1, 8, 8 * coarse).amax(dim=1)
    columns = grouped.view(-1, 8, coarse).amax(dim=1).topk(count, dim=1).indices
    eight = torch.arange(8, device=scores.device)
    for level, stride in ((grouped, coarse), (scores, 8 * coarse)):
        columns = (columns[:, :, None] + stride * eight).flatten(1)
        if level is scores:
            rest = torch.arange(64 * coarse, scores.shape[1], device=scores.device)
            columns = torch.cat([columns, rest.expand(len(scores), -1)], dim=1)
        values, order = level.gather(1, columns).topk(count, dim=1)
        columns = columns.gather(1, order)
    return values, columns
