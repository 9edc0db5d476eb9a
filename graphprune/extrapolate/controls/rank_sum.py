"""Control: three signals that need little, their ranks added."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from graphprune.extrapolate.base import Inputs
from graphprune.extrapolate.controls.ranks import RankControl
from graphprune.extrapolate.controls.seed_confidence import doubt
from graphprune.extrapolate.controls.seed_entropy import entropy
from graphprune.extrapolate.knn import KNN
from graphprune.options import Count
from graphprune.registry import register
from graphprune.runtime.math import middle_rank


@register("extrapolator", "rank_sum", source="graphprune", status="ours", role="control")
class RankSum(RankControl):
    """Order by the mean rank of the seed model's entropy, its doubt ``1 - p`` of the true label, and kNN.

    kNN runs on normalised embeddings with the one-hot label beside them. On CIFAR-10 the sum is ahead of kNN alone
    for TDDS (Spearman .640 and .610), level with it for online Dynamic Uncertainty (.629, .625) and behind it for the
    official one (.559, .594); on Tiny-ImageNet it orders the wrong way round (`experiments/extrapolation_*`).

    Values and standard deviation: see `RankControl`.

    Args:
        k: Nearest seeds of the kNN (default: 20).

    Raises:
        InputError: no probes, no labels, fewer than ``k`` seeds.

    Cost: O(N M D + P N C).
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
        signals = entropy(inputs), doubt(inputs), knn._predict()
        ranks = [middle_rank(signal, signal) for signal in signals]
        return (ranks[0] + ranks[1] + ranks[2]) / 3
