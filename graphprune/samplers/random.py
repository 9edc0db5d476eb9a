"""A fixed random subset: the baseline of static pruning (with keep = 1: plain shuffled training)."""

from __future__ import annotations

import torch

from graphprune.registry import register
from graphprune.rng import generator
from graphprune.samplers.checks import check_plan
from graphprune.samplers.static import StaticSampler
from graphprune.select.base import check_keep, count_kept


@register("sampler", "random", source="the standard baseline", status="confirmed")
class RandomSampler(StaticSampler):
    """Draws ``round(keep * n)`` rows once, uniformly, and shuffles them every epoch.

    Args:
        n: Number of samples.
        keep: Fraction of the samples trained on, in (0, 1] (default: 1, which is plain training).
    """

    def __init__(self, n: int, *, keep: float = 1.0, epochs: float = 1, seed: int = 0) -> None:
        check_plan(n, epochs)
        self.keep = check_keep(keep)
        chosen = torch.randperm(n, generator=generator(seed, "random subset"))[: count_kept(n, keep)]
        super().__init__(n, rows=chosen.sort().values, epochs=epochs, seed=seed)
