"""Moderate coreset: samples at a moderate distance from their class center."""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from graphprune.registry import register
from graphprune.runtime.math import share_by_class
from graphprune.select.base import Candidates, SelectionRule


@register("selection", "moderate", source="Xia et al., ICLR 2023 (Moderate Coreset)", status="confirmed")
class Moderate(SelectionRule):
    """Moderate: keep the samples at a medium distance from their class center; scores are ignored.

    The center of a class is the coordinate-wise median of its embeddings. Samples are ranked by their Euclidean
    distance to the center of their own class. To keep b of m samples, the rule keeps b consecutive ranks,
    starting at ``floor((m - b) / 2)``. Ties in distance go to the lower row.

    Args:
        band: ``overall`` (default) ranks the samples of all classes together, as the authors' code does;
            compact and spread-out classes then keep different shares. ``per_class`` ranks within each class and
            keeps the same share of each.

    Cost: O(N D log N) time, one class of embeddings in memory at a time.

    Reference: Xia et al., ICLR 2023. The authors round both ends of the band, so they may keep one sample more
    or fewer than requested.

    >>> import numpy as np
    >>> import torch
    >>> from graphprune.select import Moderate
    >>> from graphprune.table import ScoreTable
    >>> table = ScoreTable([0, 1, 2, 3, 4], [0.0] * 5, True)
    >>> points, labels = torch.tensor([[0.0], [1.0], [-2.0], [3.0], [-4.0]]), np.zeros(5, dtype=int)
    >>> Moderate().select(table, 0.6, labels=labels, embeddings=points).ids.tolist()
    [1, 2, 3]
    """

    requires = ("labels", "embeddings")

    def __init__(self, *, band: Literal["overall", "per_class"] = "overall") -> None:
        self.band = band

    def _select(self, candidates: Candidates, count: int) -> tuple[Tensor, Tensor]:
        labels, embeddings = candidates.labels, candidates.embeddings
        assert labels is not None
        assert embeddings is not None
        distances = _distances_to_center(embeddings, labels)
        if self.band == "overall":
            return _middle(distances, torch.arange(len(labels)), count), torch.ones(count)
        kept = [
            _middle(distances, torch.nonzero(labels == label).squeeze(1), share)
            for label, share in share_by_class(labels, count).items()
        ]
        return torch.cat(kept), torch.ones(count)


def _distances_to_center(embeddings: Tensor, labels: Tensor) -> Tensor:
    """Distance of each sample to the median of its class ``[N]`` float64."""
    distances = torch.empty(len(labels), dtype=torch.float64)
    by_class = torch.argsort(labels, stable=True)
    sizes = torch.unique(labels, return_counts=True)[1]
    for members in torch.split(by_class, sizes.tolist()):
        points = embeddings[members].to(torch.float32).numpy()
        # numpy's median takes the mean of the middle two; torch's takes the lower one.
        gaps = points.astype(np.float64) - np.median(points, axis=0)
        distances[members] = torch.from_numpy(np.linalg.norm(gaps, axis=1))
    return distances


def _middle(distances: Tensor, rows: Tensor, count: int) -> Tensor:
    order = torch.argsort(distances[rows], stable=True)
    start = (len(rows) - count) // 2
    return rows[order[start : start + count]]
