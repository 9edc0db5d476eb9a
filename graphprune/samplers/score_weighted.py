"""ScoreWeighted: random draws with scores as the prior."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from graphprune.errors import InputError
from graphprune.options import Count, Epochs, Keep, Seed, Share
from graphprune.registry import register
from graphprune.runtime.math import relative_ranks
from graphprune.runtime.rng import generator
from graphprune.samplers.base import EpochSampler
from graphprune.samplers.es import draw_by_weight
from graphprune.samplers.warm import check_scores
from graphprune.select.base import count_kept


@register("sampler", "score_weighted", source="graphprune", status="ours")
class ScoreWeighted(EpochSampler):
    r"""ScoreWeighted: draw a new subset in every epoch, with higher scores more likely.

    .. math:: p_i \propto (1 - \text{uniform}) \, \pi_i / \bar \pi + \text{uniform}

    Samples are drawn without replacement. :math:`\pi` is the score's rank (``rank``, independent of the scale), the
    softmax of its standardized value (``softmax``) or its difference from the smallest score (``linear``). The
    uniform part gives every sample a chance, even if its predicted score is wrong. This is graphprune's own method.

    Args:
        n: Number of samples.
        scores: Scores ``[n]``; larger scores are drawn more often.
        keep: Fraction of the samples trained on per epoch, in (0, 1] (default: 0.5).
        prior: ``rank``, ``softmax`` or ``linear`` (default: rank).
        uniform: Weight of the uniform part, in [0, 1] (default: 0.1).

    Cost: O(n log n) per epoch.

    >>> import torch
    >>> from graphprune.samplers import ScoreWeighted
    >>> sampler = ScoreWeighted(4, scores=torch.tensor([0.0, 1.0, 2.0, 3.0]), keep=0.5, uniform=0.0)
    >>> [round(p, 2) for p in sampler.probabilities.tolist()]
    [0.0, 0.17, 0.33, 0.5]
    >>> len(sampler)
    2
    """

    requires = ("scores",)

    def __init__(
        self,
        n: Count,
        *,
        scores: Tensor | None = None,
        keep: Keep = 0.5,
        prior: Literal["rank", "softmax", "linear"] = "rank",
        uniform: Share = 0.1,
        epochs: Epochs = 1,
        seed: Seed = 0,
    ) -> None:
        super().__init__(n, epochs=epochs, seed=seed)
        known = check_scores(scores, n)
        if known is None:
            raise InputError(
                "ScoreWeighted needs scores; pass scores=, or a score table with --scores P.parquet"
            )
        self.keep, self.prior, self.uniform = keep, prior, uniform
        self.probabilities = self._mix(known)

    def _mix(self, scores: Tensor) -> Tensor:
        values = scores.double()
        if self.prior == "rank":
            values = relative_ranks(scores).double()
        elif self.prior == "softmax":
            spread = values.std(correction=0).clamp_min(torch.finfo(torch.float64).tiny)
            values = torch.softmax((values - values.mean()) / spread, dim=0)
        else:
            values = values - values.min()
        total = values.sum()
        values = values / total if total > 0 else torch.full_like(values, 1 / self.n)
        return ((1 - self.uniform) * values + self.uniform / self.n).float()

    def _epoch_order(self, epoch: int) -> Tensor:
        draws = generator(self.seed, "score_weighted", epoch)
        rows = draw_by_weight(self.probabilities, count_kept(self.n, self.keep), draws)
        return self._shuffle(rows.sort().values)
