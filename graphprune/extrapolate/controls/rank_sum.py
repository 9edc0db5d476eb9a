"""Control: add the ranks of three inexpensive signals."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from graphprune.extrapolate.base import Inputs
from graphprune.extrapolate.controls.ranks import RankControl
from graphprune.extrapolate.controls.seed_confidence import one_minus_p
from graphprune.extrapolate.controls.seed_entropy import entropy
from graphprune.extrapolate.knn import KNN
from graphprune.options import Count
from graphprune.registry import register
from graphprune.runtime.math import middle_rank


@register("extrapolator", "rank_sum", source="graphprune", status="ours", role="control")
class RankSum(RankControl):
    """Rank sum: order samples by the mean rank of the seed model's entropy, its ``1 - p`` and the kNN prediction.

    p is the true-label probability. kNN uses normalized embeddings and the one-hot label. On CIFAR-10 the sum is better
    than kNN alone for TDDS (Spearman .640 against .610), equal for online Dynamic Uncertainty (.629 and .625) and worse
    for the official one (.559 against .594). On Tiny-ImageNet its order is reversed (`experiments/extrapolation_*`).

    For values and standard deviations, see `RankControl`.

    Args:
        k: Number of nearest seeds in kNN (default: 20).

    Raises:
        InputError: no probes, no labels, or fewer than ``k`` seeds.

    Cost: O(N M D + P N C) time.

    >>> import numpy as np
    >>> import torch
    >>> from graphprune import KNNGraph
    >>> x = torch.arange(4.0)[:, None]
    >>> probs = torch.tensor([[[0.9, 0.1], [0.6, 0.4], [0.8, 0.2], [0.5, 0.5]]])
    >>> inputs = Inputs(KNNGraph.build(x, k=1), x, labels=torch.tensor([0, 0, 0, 0]), probes=probs)
    >>> RankSum(k=1).fit(inputs, np.array([0, 3]), np.array([0.0, 1.0])).predict().round(2)
    array([0.  , 0.75, 0.25, 1.  ], dtype=float32)
    """

    requires: ClassVar[tuple[str, ...]] = ("probes", "labels")

    def __init__(self, *, k: Count = 20) -> None:
        self.k = k

    @property
    def least_seeds(self) -> int:
        return max(2, self.k)

    def _signal(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> Tensor:
        knn = KNN(k=self.k)
        knn._fit(inputs, seed_rows, seed_scores)
        signals = entropy(inputs), one_minus_p(inputs), knn._predict()
        ranks = [middle_rank(signal, signal) for signal in signals]
        return (ranks[0] + ranks[1] + ranks[2]) / 3
