"""Random sampler: the baseline of static pruning, and plain shuffled training with keep = 1."""

from __future__ import annotations

import torch

from graphprune.options import Count, Epochs, Keep, Seed
from graphprune.registry import register
from graphprune.runtime.rng import generator
from graphprune.samplers.static import StaticSampler
from graphprune.select.base import count_kept


@register("sampler", "random", source="the standard baseline", status="confirmed")
class Random(StaticSampler):
    """Random: train on one fixed random subset, shuffled in every epoch.

    Args:
        n: Number of samples.
        keep: Fraction of the samples trained on, in (0, 1] (default: 1, which is plain training).

    Cost: O(n) once and O(keep * n) per epoch.

    >>> from graphprune.samplers import Random
    >>> sampler = Random(4, keep=0.5)
    >>> epochs = []
    >>> for epoch in range(2):
    ...     sampler.set_epoch(epoch)
    ...     epochs.append(set(sampler))
    >>> len(epochs[0]), epochs[0] == epochs[1]
    (2, True)
    """

    def __init__(self, n: Count, *, keep: Keep = 1.0, epochs: Epochs = 1, seed: Seed = 0) -> None:
        self.keep = keep
        chosen = torch.randperm(n, generator=generator(seed, "random subset"))[: count_kept(n, keep)]
        super().__init__(n, rows=chosen.sort().values, epochs=epochs, seed=seed)
