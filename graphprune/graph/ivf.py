"""Approximate nearest neighbors for large N: FAISS IVF with a sampled recall."""

from __future__ import annotations

import math
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from graphprune.errors import InputError
from graphprune.graph.backends import exact_search
from graphprune.graph.points import BLOCK, Points
from graphprune.graph.refine import exact_distances, order_by_distance
from graphprune.runtime.rng import derive_seed, generator

TARGET_RECALL = 0.98
_SAMPLE = 256


def available() -> bool:
    """Whether FAISS is installed."""
    return find_spec("faiss") is not None


def ivf_search(points: Points, k: int, *, seed: int = 0) -> tuple[Tensor, Tensor, float]:
    """Finds approximately the ``k`` nearest other rows of every row, by inverted lists of k-means cells.

    There are about ``4 sqrt(N)`` cells, trained on 64 rows each. The number of cells searched per query doubles
    from 8 until 256 sampled rows reach a recall of 0.98. Distances are recomputed exactly, ties to the lower row.
    If faiss-gpu is installed, the search runs on the GPU.

    Args:
        points: ``N`` rows.
        k: Neighbors.
        seed: Seed of the k-means start and of the sampled rows.

    Returns:
        Distances ``[N, k]`` float32 ascending, rows ``[N, k]`` int64, and the sampled recall.

    Raises:
        InputError: FAISS is not installed.

    Cost: O(N D (sqrt(N) + searched rows)) time; one float32 copy of the points in FAISS.
    """
    if not available():
        raise InputError("backend 'ivf' needs FAISS; install graphprune[faiss] or use backend 'exact'")
    index = _train(points, seed)
    sample = torch.randperm(points.n, generator=generator(seed, "ivf", "recall"))[:_SAMPLE].sort().values
    truth = exact_search(points, points.subset(sample), k, own=sample)[0]
    index.nprobe = 4
    recall = 0.0
    while recall < TARGET_RECALL and index.nprobe < index.nlist:
        index.nprobe = min(2 * index.nprobe, index.nlist)
        found, _ = _search(index, points, sample, k)
        # Distances are compared, so that a neighbor at the same distance as the true one counts.
        recall = float((found <= truth[:, -1:]).to(torch.float64).mean())
    distances = torch.empty(points.n, k)
    rows = torch.empty(points.n, k, dtype=torch.int64)
    for start in range(0, points.n, BLOCK):
        block = torch.arange(start, min(start + BLOCK, points.n))
        distances[start : start + BLOCK], rows[start : start + BLOCK] = _search(index, points, block, k)
    return distances, rows, recall


def _train(points: Points, seed: int) -> Any:
    import faiss

    cells = max(1, min(4 * math.isqrt(points.n), points.n // 39))
    product = points.metric == "inner"
    quantizer = faiss.IndexFlatIP(points.dim) if product else faiss.IndexFlatL2(points.dim)
    metric = faiss.METRIC_INNER_PRODUCT if product else faiss.METRIC_L2
    index = faiss.IndexIVFFlat(quantizer, points.dim, cells, metric)
    index.cp.seed = derive_seed(seed, "ivf", "cells") % 2**31
    count = min(points.n, 64 * cells)
    rows = torch.randperm(points.n, generator=generator(seed, "ivf", "train"))[:count].sort().values
    index.train((points.take(rows) - _shift(points)).cpu().numpy())
    for start in range(0, points.n, BLOCK):
        index.add((points.block(start, start + BLOCK) - _shift(points)).cpu().numpy())
    if torch.cuda.is_available() and hasattr(faiss, "StandardGpuResources"):
        resources = faiss.StandardGpuResources()
        moved: Any = faiss.index_cpu_to_gpu(resources, 0, index)
        moved.resources = resources  # must live as long as the index
        return moved
    return index


def _search(index: Any, points: Points, rows: Tensor, k: int) -> tuple[Tensor, Tensor]:
    q = points.take(rows)
    found = torch.from_numpy(index.search((q - _shift(points)).cpu().numpy(), k + 1 + k // 4)[1])
    missing = (found < 0) | (found == rows[:, None])
    candidates = found.clamp(min=0).to(points.device)
    exact = exact_distances(points, q, candidates, excluded=missing.to(points.device))
    distances, nearest = order_by_distance(exact, candidates, k)
    nearest = torch.where(distances.isinf(), rows[:, None].to(points.device), nearest)
    scale = points.scale**2 if points.metric == "inner" else points.scale
    return (distances * scale).cpu(), nearest.cpu()


def _shift(points: Points) -> Tensor | float:
    return 0.0 if points.metric == "inner" else points.center
