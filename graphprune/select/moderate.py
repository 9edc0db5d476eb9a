"""Keep samples at a middling distance from their class's centre."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from graphprune.registry import register
from graphprune.select.base import Candidates, SelectionRule, share_by_class


@register("selection", "moderate", source="Xia et al., ICLR 2023 (Moderate Coreset)", status="confirmed")
class Moderate(SelectionRule):
    """The middle band of the distances to the class median, within each class; the scores are ignored.

    The centre of a class is the coordinate-wise median of its embeddings; its samples are ranked by
    Euclidean distance to it, and the kept ones are the middle of that ranking: with m samples and a share
    of b, the ranks ``floor((m - b) / 2)`` onwards. Ties in distance go to the lower row.

    Cost: O(N D log N) time, one class of embeddings in memory at a time.
    """

    requires = ("labels", "embeddings")

    def _select(self, candidates: Candidates, count: int) -> tuple[Tensor, Tensor]:
        labels, embeddings = candidates.labels, candidates.embeddings
        assert labels is not None
        assert embeddings is not None
        kept = []
        for label, share in share_by_class(labels, count).items():
            members = torch.nonzero(labels == label).squeeze(1)
            points = embeddings[members].to(torch.float32)
            # numpy's median takes the mean of the middle two; torch's takes the lower one.
            centre = torch.from_numpy(np.median(points.numpy(), axis=0))
            order = torch.argsort((points - centre).square().sum(dim=1), stable=True)
            start = (len(members) - share) // 2
            kept.append(members[order[start : start + share]])
        return torch.cat(kept), torch.ones(count)
