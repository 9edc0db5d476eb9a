"""SemDeDup: semantic deduplication of embeddings."""

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
    """SemDeDup: drop near duplicates, found by cosine similarity within k-means clusters.

    Embeddings are normalized and clustered. The samples of a cluster are sorted by ``order``; a sample's
    redundancy is its largest cosine similarity to any sample *before* it, dropped or not. The paper drops
    redundancy > 1 - eps and tunes eps to reach the requested size; this rule keeps the ``count`` least redundant
    samples, which is the same set.

    Args:
        clusters: Number of k-means clusters (default: the square root of N, rounded down; the paper uses 50,000
            for LAION).
        order: Which of two near duplicates comes first and is kept: ``centroid`` (default: the one farther from
            the cluster center, as in the paper) or ``score`` (the one with the larger score).

    Cost: O(N sqrt(N) D) time with the default number of clusters of similar size, O(N D) memory.

    Reference: Abbas et al., arXiv 2303.09540 (2023).

    >>> import torch
    >>> from graphprune.select import SemDeDup
    >>> from graphprune.table import ScoreTable
    >>> table = ScoreTable([0, 1, 2], [1.0, 2.0, 3.0], True)
    >>> points = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    >>> SemDeDup(clusters=1, order="score").select(table, 0.67, embeddings=points).ids.tolist()
    [1, 2]
    """

    requires = ("embeddings",)

    def __init__(
        self, *, clusters: Count | None = None, order: Literal["centroid", "score"] = "centroid"
    ) -> None:
        self.clusters, self.order = clusters, order

    def check(self, job: JobFacts) -> None:
        super().check(job)
        if job.n is not None and self.clusters is not None and self.clusters > job.n:
            raise InputError(f"clusters is {self.clusters} but there are {job.n} samples; use fewer clusters")

    def _select(self, candidates: Candidates, count: int) -> tuple[Tensor, Tensor]:
        assert candidates.embeddings is not None
        assert candidates.generator is not None
        points = normalize(candidates.embeddings.to(torch.float32))
        k = self.clusters or max(1, math.isqrt(len(points)))
        centers, labels = kmeans(points, k, generator=candidates.generator, iterations=10, max_points=256 * k)
        to_center = (points * normalize(centers)[labels]).sum(dim=1)
        first = -to_center if self.order == "centroid" else candidates.scores
        redundancy = torch.empty(len(points))
        by_cluster = torch.argsort(labels, stable=True)
        for members in torch.split(by_cluster, torch.bincount(labels, minlength=k).tolist()):
            members = members[highest(first[members], len(members))]
            redundancy[members] = _largest_cosine_before(points[members])
        return highest(-redundancy, count), torch.ones(count)


def _largest_cosine_before(points: Tensor) -> Tensor:
    """For each normalized row ``[m, D]``, the largest cosine similarity to a row above it; -1 for the first."""
    result = torch.full((len(points),), -1.0)
    for start in range(0, len(points), _BLOCK):
        stop = min(start + _BLOCK, len(points))
        cosines = points[start:stop] @ points[:stop].T
        above = torch.arange(stop) < torch.arange(start, stop)[:, None]
        result[start:stop] = cosines.masked_fill_(~above, -1.0).amax(dim=1)
    return result
