"""Seeds every epoch, all others in turn: a seed run that knows more than its seeds."""

from __future__ import annotations

import torch
from torch import Tensor

from graphprune.errors import InputError
from graphprune.runtime.rng import generator
from graphprune.samplers.base import EpochSampler


class BackgroundSampler(EpochSampler):
    """Every epoch holds all seeds, and for each seed ``background`` of the other samples, in turn.

    The others come in rounds: each round is a permutation, and no sample comes again before all had a turn (so an
    epoch in which a round ends may hold one twice). Seeds are visited as often as in a full run, by a model
    that sees the whole data set.

    Args:
        n: Number of samples in the data set.
        seeds: Rows of the seeds ``[M]`` int64 without repetition.
        background: Other samples per seed and epoch; at most all others are taken.

    Cost: O(n) an epoch.
    """

    _repeats = True

    def __init__(self, n: int, *, seeds: Tensor, background: float, epochs: float = 1, seed: int = 0) -> None:
        super().__init__(n, epochs=epochs, seed=seed)
        if background < 0:
            raise InputError(f"background is {background:g}; give a share of at least 0")
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
