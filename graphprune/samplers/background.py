"""The sampler of seed runs that also train on rotating extra samples."""

from __future__ import annotations

import torch
from torch import Tensor

from graphprune.errors import InputError
from graphprune.runtime.rng import generator
from graphprune.samplers.base import EpochSampler


class BackgroundSampler(EpochSampler):
    """Background: train on all seeds in every epoch, plus rotating extra samples.

    The extra samples come in rounds. Each round is a permutation of all other samples, and no sample is repeated
    before the round ends (so an epoch in which a round ends may contain a sample twice). The model visits seeds as
    often as a full run does, and over the epochs it sees the whole data set.

    Args:
        n: Number of samples in the data set.
        seeds: Rows of the seeds ``[M]`` int64 without duplicates.
        background: Extra samples per seed and epoch, limited to the number of samples that are not seeds.

    Cost: O(n) per epoch.

    >>> sampler = BackgroundSampler(4, seeds=torch.tensor([1]), background=1, epochs=3)
    >>> extra = []
    >>> for epoch in range(3):
    ...     sampler.set_epoch(epoch)
    ...     extra += set(sampler) - {1}
    >>> sorted(extra)
    [0, 2, 3]
    """

    _repeats = True

    def __init__(self, n: int, *, seeds: Tensor, background: float, epochs: float = 1, seed: int = 0) -> None:
        super().__init__(n, epochs=epochs, seed=seed)
        if background < 0:
            raise InputError(
                f"background is {background:g}; give a number of extra samples per seed of at least 0"
            )
        self.seeds = seeds
        others = torch.ones(n, dtype=torch.bool)
        others[seeds] = False
        self.others = others.nonzero()[:, 0]
        self.count = min(len(self.others), round(background * len(seeds)))

    def _epoch_order(self, epoch: int) -> Tensor:
        parts, start, missing = [self.seeds], epoch * self.count, self.count
        while missing:
            turn, at = divmod(start, len(self.others))
            draws = generator(self.seed, "background", turn)
            taken = self.others[torch.randperm(len(self.others), generator=draws)[at : at + missing]]
            parts.append(taken)
            start, missing = start + len(taken), missing - len(taken)
        return self._shuffle(torch.cat(parts))
