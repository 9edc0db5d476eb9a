"""Exact nearest neighbours in blocks: a fast matrix product proposes, exact distances decide."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

from graphprune.graph.points import Points
from graphprune.graph.refine import Repair, comparable, exact_distances, order_by_distance

Precision = Literal["auto", "float32", "bfloat16"]

# Queries whose candidates are held at once (the first few tell whether bfloat16 will do), and database rows
# whose operand is.
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
    r"""The ``k`` nearest rows of ``database`` for each row of ``queries``.

    A block of :math:`-\tfrac12\lVert q-y\rVert^2` comes from one matrix product (half norms as extra columns,
    in bfloat16 or float32); its ``fetch > k`` best are re-ranked by float32 distances of the differences,
    ties to the lower row. A row is accepted when every point outside its candidates lies beyond the k-th
    neighbour by more than twice the largest error seen among them; other rows are searched again with a
    proven bound. So the result depends neither on the block size nor, but for chance below 1e-5 per row, on
    the precision.

    Args:
        database: The points searched, ``n`` rows.
        queries: The points asked for, ``Q`` rows, same metric and scale.
        k: Neighbours, at most ``database.n``.
        own: Row of the database that each query is, ``[Q]`` int64, -1 for none (default: none); never
            returned. Where fewer than ``k`` others exist, the rest holds the own row at distance ``inf``.
        block_size: Queries per matrix product.
        precision: ``auto`` follows `fast_dtype`.

    Returns:
        Distances ``[Q, k]`` float32 ascending, and database rows ``[Q, k]`` int64, both on the CPU.

    Cost: O(Q n D) time; O(block_size * 65,536) memory beyond the points.
    """
    dtype = fast_dtype(database, precision)
    repair = Repair(database, k)
    distances = torch.empty(queries.n, k)
    rows = torch.empty(queries.n, k, dtype=torch.int64)
    with torch.autocast(database.device.type, enabled=False):
        for start, stop in pairwise((0, *range(_FIRST_SLAB, queries.n, _QUERY_SLAB), queries.n)):
            q = queries.block(start, stop)
            mine = None if own is None else own[start:stop].to(database.device)
            found, nearest, doubtful = _search_slab(database, q, k, mine, block_size, dtype)
            if dtype == torch.bfloat16 and 2 * len(doubtful) > len(q):
                dtype = torch.float32  # bfloat16 cannot tell these points apart
                found, nearest, doubtful = _search_slab(database, q, k, mine, block_size, dtype)
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


def fast_dtype(database: Points, precision: Precision = "auto") -> torch.dtype:
    """Number format of the proposing product.

    ``auto`` takes bfloat16 where the hardware multiplies it natively (CPU flags ``avx512_bf16`` or
    ``amx_bf16``; CUDA capability 8.0 on) and the product outweighs the re-ranking: at least 4,096 points of
    64 dimensions.
    """
    if precision != "auto":
        return torch.bfloat16 if precision == "bfloat16" else torch.float32
    large = database.n >= 4096 and database.dim >= 64
    return torch.bfloat16 if large and native_bfloat16(database.device) else torch.float32


def native_bfloat16(device: torch.device) -> bool:
    """Whether the hardware multiplies bfloat16 matrices itself, by CPU flags or CUDA capability."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    flags = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return device.type == "cpu" and bool(flags.get("avx512_bf16") or flags.get("amx_bf16"))


def _search_slab(
    database: Points, q: Tensor, k: int, own: Tensor | None, block_size: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Distances and rows ``[B, k]`` of the neighbours of ``q [B, D]``, and which rows are doubtful."""
    scores, candidates = _propose(database, q, k, own, block_size, dtype)
    exact = exact_distances(database, q, candidates, excluded=scores == -torch.inf)
    found, nearest = order_by_distance(exact, candidates, k)
    if candidates.shape[1] == database.n:
        return found, nearest, torch.empty(0, dtype=torch.int64)
    return found, nearest, (~_certain(scores, exact, found, database, dtype)).nonzero().flatten()


def _propose(
    database: Points, q: Tensor, k: int, own: Tensor | None, block_size: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Approximate scores (larger is nearer) and rows of the best candidates of ``q``, both ``[B, fetch]``."""
    fetch = min(database.n, 2 * k + 8 if dtype == torch.bfloat16 else k + k // 4 + 8)
    left = _operand(q, database, dtype, query=True)
    best: tuple[Tensor, Tensor] | None = None
    width = min(_DATABASE_SLAB, database.n)
    buffer = torch.empty(min(block_size, len(q)) * width, dtype=dtype, device=database.device)
    for first in range(0, database.n, width):
        right = _operand(database.block(first, first + width), database, dtype, query=False).T
        count = right.shape[1]
        found = []
        for row in range(0, len(q), block_size):
            part = left[row : row + block_size]
            scores = buffer[: len(part) * count].view(len(part), count)
            torch.mm(part, right, out=scores)
            if own is not None:
                column = own[row : row + block_size] - first
                here = ((column >= 0) & (column < count)).nonzero().flatten()
                scores[here, column[here]] = -torch.inf
            found.append(largest(scores, min(fetch, count)))
        values = torch.cat([f[0] for f in found]).to(torch.float32)
        rows = torch.cat([f[1] for f in found]) + first
        if best is not None:
            values, rows = torch.cat([best[0], values], dim=1), torch.cat([best[1], rows], dim=1)
            values, order = values.topk(min(fetch, values.shape[1]), dim=1)
            rows = rows.gather(1, order)
        best = values, rows
    assert best is not None
    return best


def largest(scores: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The ``count`` largest of each row of ``scores [B, n]`` and their columns, both ``[B, count]``, descending.

    Like ``topk``, but twice as fast on long rows: the largest lie in those ``count`` groups of 8 columns that
    have the largest maxima, and these in the ``count`` groups of 8 groups.
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


def _operand(x: Tensor, database: Points, dtype: torch.dtype, *, query: bool) -> Tensor:
    """``x [B, D]`` with columns appended, so that both sides' product is minus half the squared distance.

    The half norms are those of the rounded vectors, split into as many numbers of the format as hold them, so
    the error is relative to the distance and not to the norms.
    """
    if database.metric == "inner":
        return x.to(dtype)
    x = (x - database.centre).to(dtype)
    rest = x.to(torch.float32).square().sum(dim=1, keepdim=True) / -2
    pieces = []
    for _ in range(3 if dtype == torch.bfloat16 else 1):
        pieces.append(rest.to(dtype))
        rest = rest - pieces[-1]
    ones = [torch.ones_like(pieces[0])] * len(pieces)
    return torch.cat([x, *ones, *pieces] if query else [x, *pieces, *ones], dim=1)


def _certain(scores: Tensor, exact: Tensor, found: Tensor, database: Points, dtype: torch.dtype) -> Tensor:
    """``[B]`` bool: rows whose k-th neighbour lies clearly before everything that is not a candidate."""
    approximate = -scores if database.metric == "inner" else -2 * scores
    error = (approximate - comparable(exact, database)).abs().nan_to_num(0.0).amax(dim=1)
    worst = approximate[:, -1]
    spacing = (2.0**-8 if dtype == torch.bfloat16 else 2.0**-20) * worst.abs()
    return worst - torch.maximum(2 * error, spacing) > comparable(found[:, -1], database)
