"""Evolved sampling with pruning of each epoch."""

from __future__ import annotations

import torch
from torch import Tensor

from graphprune.options import Count, Epochs, Keep, Part, Seed, Share
from graphprune.registry import register
from graphprune.runtime.rng import generator
from graphprune.samplers.es import ES, draw_by_weight
from graphprune.select.base import count_kept


@register("sampler", "eswp", source="Cheng, Li & Bian, arXiv 2509.23461 (2025)", status="abstract")
class ESWP(ES):
    """ESWP: evolved sampling (`ES`) that also leaves a fraction r of the samples out of each epoch.

    An epoch uses ``(1 - r) n`` samples, drawn with probability proportional to w; everything else is as in `ES`.
    The annealing epochs at each end use all samples. If ``anneal`` is above 0 but rounds to zero epochs, the first
    epoch still uses all samples, so that no sample stays unseen; with ``anneal=0`` no epoch does.

    Args:
        n: Number of samples.
        r: Fraction of the samples left out of an epoch, in [0, 1) (default: 0.2).
        keep: Fraction of a candidate batch that is trained on (default: 1/4).
        b1, b2: Smoothing factors (default: 0.2 and 0.8).
        anneal: Fraction of the epochs at each end that train on all samples (default: 0.05).
        scores: Warm-start scores ``[n]``, as in `ES`.

    Cost: O(n log n) per epoch, O(B log B) per step, two float32 per sample.

    Reference: Cheng, Li & Bian, arXiv 2509.23461 (2025).

    >>> from graphprune.samplers import ESWP
    >>> sampler = ESWP(10, r=0.2, anneal=0.1, epochs=10)
    >>> lengths = []
    >>> for epoch in range(2):
    ...     sampler.set_epoch(epoch)
    ...     lengths.append(len(sampler))
    >>> lengths  # the first epoch uses all samples
    [10, 8]
    """

    def __init__(
        self,
        n: Count,
        *,
        r: Part = 0.2,
        keep: Keep = 0.25,
        b1: Share = 0.2,
        b2: Share = 0.8,
        anneal: Share = 0.05,
        scores: Tensor | None = None,
        epochs: Epochs,
        seed: Seed = 0,
    ) -> None:
        super().__init__(n, keep=keep, b1=b1, b2=b2, anneal=anneal, scores=scores, epochs=epochs, seed=seed)
        self.r = r

    def is_plain(self, epoch: int) -> bool:
        first = epoch == 0 and self.anneal > 0 and self.scores is None
        return first or super().is_plain(epoch)

    def _epoch_order(self, epoch: int) -> Tensor:
        if self.is_plain(epoch):
            return self._shuffle(torch.arange(self.n))
        count = count_kept(self.n, 1 - self.r)
        rows = draw_by_weight(self.w.cpu(), count, generator(self.seed, "eswp", epoch))
        return self._shuffle(rows.sort().values)
