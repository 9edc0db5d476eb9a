"""Drop near duplicates first."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import normalize

from graphprune.errors import InputError
from graphprune.graph.kmeans import kmeans
from graphprune.options import Count
from graphprune.registry import register
from graphprune.runtime.facts import JobFacts
from graphprune.runtime.math import highest
from graphprune.select.base import Candidates, SelectionRule

_BLOCK = 4_096


@register("selection", "semdedup", source="Abbas et al., arXiv 2303.09540 (2023)", status="confirmed")
class SemDeDup(SelectionRule):
    """Semantic deduplication: within k-means clusters, what has a near twin before it goes first.

    Embeddings are normalised and clustered. In a cluster, sorted by ``order``, a sample's redundancy is the
    largest cosine to a sample *before* it (dropped or not). The paper drops redundancy > 1 - eps and tunes
    eps to the wanted size; here the ``count`` least redundant samples are kept, which is the same set.

    Args:
        clusters: k-means clusters (default: the root of N, rounded; the paper uses 50,000 for LAION).
        order: Which of two twins comes first and stays: ``centroid`` (the one further from the cluster's
            centre, as in the paper) or ``score`` (the one with the larger score).

    Cost: O(N sqrt(N) D) time with the default clusters of like size, O(N D) memory.
    """

    requires = ("embeddings",)

    def __init__(
        self, *, clusters: Count | None = None, order: Literal["centroid", "score"] = "centroid"
    ) -> None:
        self.clusters, self.order = clusters, order

    def check(self, job: JobFacts) -> None:
        super().check(job)
        if job.n is not None and self.clusters is not None and self.clusters > job.n:
            raise InputError(f"{self.clusters} clusters for {job.n} points; use fewer clusters")

    def _select(self, candidates: Candidates, count: int) -> tuple[Tensor, Tensor]:
        assert candidates.embeddings is not None
        assert candidates.generator is not None
        points = normalize(candidates.embeddings.to(torch.float32))
        k = self.clusters or max(1, math.isqrt(len(points)))
        centres, labels = kmeans(points, k, generator=candidates.generator, iterations=10, max_points=256 * k)
        to_centre = (points * normalize(centres)[labels]).sum(dim=1)
        first = -to_centre if self.order == "centroid" else candidates.scores
        redundancy = torch.empty(len(points))
        by_cluster = torch.argsort(labels, stable=True)
        for members in torch.split(by_cluster, torch.bincount(labels, minlength=k).tolist()):
            members = members[highest(first[members], len(members))]
            redundancy[members] = _largest_cosine_before(points[members])
        return highest(-redundancy, count), torch.ones(count)


def _largest_cosine_before(points: Tensor) -> Tensor:
    """For each normalised row ``[m, D]``, the largest cosine to a row above it; -1 for the first."""
    result = torch.full((len(points),), -1.0)
    for start in range(0, len(points), _BLOCK):
        stop = min(start + _BLOCK, len(points))
        cosines = points[start:stop] @ points[:stop].T
        above = torch.arange(stop) < torch.arange(start, stop)[:, None]
        result[start:stop] = cosines.masked_fill_(~above, -1.0).amax(dim=1)
    return result
