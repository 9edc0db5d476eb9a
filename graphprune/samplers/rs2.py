"""A fresh random subset every epoch."""

from __future__ import annotations

import torch
from torch import Tensor

from graphprune.options import Count, Epochs, Keep, Seed
from graphprune.registry import register
from graphprune.rng import generator
from graphprune.samplers.base import EpochSampler
from graphprune.select.base import check_keep, count_kept


@register("sampler", "rs2", source="Okanovic et al., ICLR 2024, arXiv 2305.18424", status="confirmed")
class RS2Sampler(EpochSampler):
    """Repeated random sampling: a fresh random subset every epoch.

    Without replacement (the default) a round is one permutation cut into ``floor(n / count)`` disjoint
    epochs, so that no sample is seen twice in a round; with replacement every epoch draws independently.
    No epoch holds a sample twice.

    Args:
        n: Number of samples.
        keep: Fraction of the samples trained on per epoch, in (0, 1] (default: 0.5).
        replacement: Whether epochs draw independently of each other (default: False).

    Cost: O(n) an epoch.
    """

    def __init__(
        self, n: Count, *, keep: Keep = 0.5, replacement: bool = False, epochs: Epochs = 1, seed: Seed = 0
    ) -> None:
        super().__init__(n, epochs=epochs, seed=seed)
        self.keep, self.replacement = check_keep(keep), replacement

    def _epoch_order(self, epoch: int) -> Tensor:
        count = count_kept(self.n, self.keep)
        if self.replacement:
            return torch.randperm(self.n, generator=generator(self.seed, "rs2", epoch))[:count]
        round_, part = divmod(epoch, self.n // count)
        permutation = torch.randperm(self.n, generator=generator(self.seed, "rs2 round", round_))
        return permutation[part * count : (part + 1) * count]
