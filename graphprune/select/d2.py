"""Keep samples that are difficult and far apart: message passing on the graph."""

from __future__ import annotations

import heapq

import torch
from torch import Tensor

from graphprune.errors import InputError
from graphprune.facts import JobFacts
from graphprune.options import Count, NonNegative
from graphprune.registry import register
from graphprune.select.base import Candidates, SelectionRule


@register("selection", "d2", source="Maharana et al., ICLR 2024, arXiv 2310.07931", status="confirmed")
class D2(SelectionRule):
    r"""D2 Pruning: scores gather their neighbours' difficulty, and every pick takes some back.

    .. math:: \phi_i = s_i + \sum_{j \in N_k(i)} e^{-d_{ij}} s_j

    Then ``count`` times: pick i = argmax of the open :math:`\phi`, and for j in N_k(i)
    :math:`\phi_j \leftarrow \phi_j - e^{-\gamma d_{ij}} \phi_i`. Neighbours are directed, as in the authors'
    code for precomputed graphs; distances are those of the shared graph (theirs are Euclidean).

    Args:
        k: Neighbours that take part, at most those of the graph (default: 5).
        gamma: How fast the taking back fades with distance (default: 0.1).

    Negative scores would turn the subtraction round, so a table with any is first shifted to minimum 0.

    Raises:
        InputError: the graph has fewer than ``k`` neighbours per sample.

    Cost: O(N k log N), one pick after the other by nature.
    """

    requires = ("graph",)

    def __init__(self, *, k: Count = 5, gamma: NonNegative = 0.1) -> None:
        self.k, self.gamma = k, gamma

    def check(self, job: JobFacts) -> None:
        super().check(job)
        if job.neighbors is not None and job.neighbors < self.k:
            raise InputError(
                f"k is {self.k} but the graph has {job.neighbors} neighbors per sample; build it with more (graph.k)"
            )

    def _select(self, candidates: Candidates, count: int) -> tuple[Tensor, Tensor]:
        graph = candidates.graph
        assert graph is not None
        scores = candidates.scores.double()
        scores = scores - scores.min().clamp_max(0)
        neighbours = graph.indices[:, : self.k].long()
        distances = graph.distances[:, : self.k].double()
        potential = scores + (torch.exp(-distances) * scores[neighbours]).sum(dim=1)
        # inf * 0 would be NaN: a padded link (distance inf) takes nothing back, whatever gamma is.
        taken = torch.exp(-self.gamma * distances).masked_fill_(distances.isinf(), 0)
        return _greedy(potential, neighbours, taken, count), torch.ones(count)


def _greedy(potential: Tensor, neighbours: Tensor, taken: Tensor, count: int) -> Tensor:
    """``count`` rows by repeated argmax, ties to the lower row; outdated entries of the heap are skipped."""
    value = potential.tolist()
    links, shares = neighbours.tolist(), taken.tolist()
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
        for other, share in zip(links[row], shares[row], strict=True):
            if open_[other]:
                value[other] -= share * value[row]
                heapq.heappush(heap, (-value[other], other))
    return torch.tensor(kept, dtype=torch.int64)
