"""Evolved sampling that also leaves out part of the data each epoch."""

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
    """Evolved sampling with pruning: an epoch starts from ``(1 - r) n`` samples drawn with probability ~ w.

    Everything else is as in `ES`; the plain epochs at either end take all samples. Where ``anneal`` comes
    to less than half an epoch, the first is plain all the same, so that no sample stays unseen (with ``anneal=0``
    none is).

    Args:
        n: Number of samples.
        r: Fraction of the samples left out of an epoch, in [0, 1) (default: 0.2).
        keep: Fraction of a meta-batch that is trained on (default: 1/4).
        b1, b2: Smoothing (default: 0.2 and 0.8).
        anneal: Fraction of plain epochs at either end (default: 0.05).
        scores: Warm-start scores ``[n]``, as in `ES`.

    Cost: O(n log n) an epoch, O(B log B) a step, two float32 per sample.
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
