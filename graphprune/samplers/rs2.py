"""RS2: repeated random sampling."""

from __future__ import annotations

import torch
from torch import Tensor

from graphprune.options import Count, Epochs, Keep, Seed
from graphprune.registry import register
from graphprune.runtime.rng import generator
from graphprune.samplers.base import EpochSampler
from graphprune.select.base import check_keep, count_kept


@register("sampler", "rs2", source="Okanovic et al., ICLR 2024, arXiv 2305.18424", status="confirmed")
class RS2(EpochSampler):
    """RS2: train on a new random subset in every epoch.

    Without replacement (the default) a round is one permutation that is cut into ``ceil(n / count)`` epochs. The
    last epoch of a round takes the remaining samples and adds samples from the start of the same permutation, so
    every sample has been seen after ``ceil(n / count)`` epochs, as in the authors' code. With replacement, epochs
    are drawn independently. No epoch contains a sample twice.

    Args:
        n: Number of samples.
        keep: Fraction of the samples trained on per epoch, in (0, 1] (default: 0.5).
        replacement: Whether epochs draw independently of each other (default: False).

    Cost: O(n) per round without replacement, O(n) per epoch with replacement; one int64 per sample.

    Reference: Okanovic et al., ICLR 2024, arXiv 2305.18424.

    >>> from graphprune.samplers import RS2
    >>> sampler = RS2(5, keep=0.4, epochs=3)
    >>> seen = set()
    >>> for epoch in range(3):
    ...     sampler.set_epoch(epoch)
    ...     seen |= set(sampler)
    >>> sorted(seen)
    [0, 1, 2, 3, 4]
    """

    def __init__(
        self, n: Count, *, keep: Keep = 0.5, replacement: bool = False, epochs: Epochs = 1, seed: Seed = 0
    ) -> None:
        super().__init__(n, epochs=epochs, seed=seed)
        self.keep, self.replacement = check_keep(keep), replacement
        self._round: tuple[int, Tensor] | None = None

    def _epoch_order(self, epoch: int) -> Tensor:
        count = count_kept(self.n, self.keep)
        if self.replacement:
            return torch.randperm(self.n, generator=generator(self.seed, "rs2", epoch))[:count]
        round_, part = divmod(epoch, -(-self.n // count))
        permutation, start = self._permutation(round_), part * count
        if start + count <= self.n:
            return permutation[start : start + count]
        return torch.cat([permutation[start:], permutation[: start + count - self.n]])

    def _permutation(self, round_: int) -> Tensor:
        """The permutation of a round, which depends only on the seed and the round; cached during the round."""
        if self._round is None or self._round[0] != round_:
            draws = generator(self.seed, "rs2 round", round_)
            self._round = (round_, torch.randperm(self.n, generator=draws))
        return self._round[1]
