"""D2 Pruning: message passing on the kNN graph."""

from __future__ import annotations

import heapq
from typing import Literal

import torch
from torch import Tensor

from graphprune.errors import InputError
from graphprune.options import Count, NonNegative
from graphprune.registry import register
from graphprune.runtime.facts import JobFacts
from graphprune.select.base import Candidates, SelectionRule


@register("selection", "d2", source="Maharana et al., ICLR 2024, arXiv 2310.07931", status="confirmed")
class D2(SelectionRule):
    r"""D2: keep samples that are difficult and far apart in the kNN graph.

    .. math:: \phi_i = s_i + \sum_{j \in N(i)} e^{-d_{ij}} s_j

    Each sample first adds the difficulty of its neighbors to its own. Then, ``count`` times, the sample i with the
    largest remaining :math:`\phi` is kept, and for every j in N(i)
    :math:`\phi_j \leftarrow \phi_j - e^{-\gamma d_{ij}} \phi_i`. Distances are those of the graph (the authors use
    Euclidean distances).

    Args:
        k: Neighbors used per sample, at most those of the graph (default: 5).
        gamma: How fast the subtraction decays with distance (default: 0.1).
        neighbors: ``directed`` (default): N(i) are the k nearest samples of i, as in the authors' code for
            precomputed graphs. ``symmetric``: N(i) also contains the samples that have i among their k nearest,
            as in their code for graphs computed on the fly.

    Negative scores would reverse the sign of the subtraction, so they are first shifted to a minimum of 0.

    Raises:
        InputError: the graph has fewer than ``k`` neighbors per sample; arguments out of range.

    Cost: O(N k log N); the greedy loop is sequential.

    Reference: Maharana et al., ICLR 2024, arXiv 2310.07931.

    >>> import torch
    >>> from graphprune.graph.knn import KNNGraph
    >>> from graphprune.select import D2
    >>> from graphprune.table import ScoreTable
    >>> twins = KNNGraph(torch.tensor([[1], [0], [3], [2]]), torch.full((4, 1), 0.01))
    >>> table = ScoreTable([0, 1, 2, 3], [10.0, 9.0, 5.0, 4.0], True)
    >>> D2(k=1).select(table, 0.5, graph=twins).ids.tolist()  # one sample of each pair of near duplicates
    [0, 2]
    """

    requires = ("graph",)

    def __init__(
        self,
        *,
        k: Count = 5,
        gamma: NonNegative = 0.1,
        neighbors: Literal["directed", "symmetric"] = "directed",
    ) -> None:
        self.k, self.gamma, self.neighbors = k, gamma, neighbors

    def check(self, job: JobFacts) -> None:
        super().check(job)
        if job.neighbors is not None and job.neighbors < self.k:
            raise InputError(
                f"k is {self.k} but the graph has {job.neighbors} neighbors per sample; raise graph.k or lower k"
            )

    def _select(self, candidates: Candidates, count: int) -> tuple[Tensor, Tensor]:
        graph = candidates.graph
        assert graph is not None
        scores = candidates.scores.double()
        scores = scores - scores.min().clamp_max(0)
        indices, distances = graph.indices[:, : self.k].long(), graph.distances[:, : self.k].double()
        start = torch.arange(graph.n).repeat_interleave(self.k)
        end, distance = indices.reshape(-1), distances.reshape(-1)
        linked = distance.isfinite()  # a missing neighbor is padded with distance inf
        start, end, distance = start[linked], end[linked], distance[linked]
        if self.neighbors == "symmetric":
            start, end, distance = _both_ways(start, end, distance, graph.n)
        potential = scores.index_add(0, start, torch.exp(-distance) * scores[end])
        first = torch.bincount(start + 1, minlength=graph.n + 1).cumsum(0)
        taken = torch.exp(-self.gamma * distance)
        return _greedy(potential, first, end, taken, count), torch.ones(count)


def _both_ways(start: Tensor, end: Tensor, distance: Tensor, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """All links in both directions without duplicates, by ascending start."""
    pairs, distance = torch.cat([start * n + end, end * n + start]), distance.repeat(2)
    pairs, order = torch.sort(pairs, stable=True)
    first = torch.cat([torch.ones(1, dtype=torch.bool), pairs[1:] != pairs[:-1]])[: len(pairs)]
    pairs = pairs[first]
    return pairs // n, pairs % n, distance[order][first]


def _greedy(potential: Tensor, first: Tensor, end: Tensor, taken: Tensor, count: int) -> Tensor:
    """``count`` rows by repeated argmax, ties to the lower row; outdated heap entries are skipped.

    Keeping row i subtracts ``taken[m] * value[i]`` from row ``end[m]`` for m from ``first[i]`` to ``first[i + 1]``.
    """
    value, borders = potential.tolist(), first.tolist()
    links, shares = end.tolist(), taken.tolist()
    heap = [(-v, row) for row, v in enumerate(value)]
    heapq.heapify(heap)
    open_ = [True] * len(value)
    kept: list[int] = []
    while len(kept) < count:
        negative, row = heapq.heappop(heap)
        if not open_[row] or -negative != value[row]:
            continue
        open_[row] = False
        kept.append(row)
        for at in range(borders[row], borders[row + 1]):
            other = links[at]
            if open_[other]:
                value[other] -= shares[at] * value[row]
                heapq.heappush(heap, (-value[other], other))
    return torch.tensor(kept, dtype=torch.int64)
