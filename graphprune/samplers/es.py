"""Evolved sampling: a forward pass over a large batch, training on a part of it."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from graphprune.errors import InputError
from graphprune.options import Count, Epochs, Keep, Seed, Share
from graphprune.registry import register
from graphprune.runtime.math import relative_ranks
from graphprune.samplers.base import EpochSampler
from graphprune.samplers.warm import check_scores
from graphprune.select.base import check_keep


@register("sampler", "es", source="Cheng, Li & Bian, arXiv 2509.23461 (2025)", status="abstract")
class ES(EpochSampler):
    r"""ES: train on part of each batch, drawn by weights that track losses and their changes.

    .. math:: w_i = \beta_1 s_i + (1 - \beta_1) l_i; \qquad
        s_i \leftarrow \beta_2 s_i + (1 - \beta_2) l_i; \qquad s_i(0) = 1 / n

    From each candidate batch, a fraction ``keep`` is drawn without replacement with probability proportional to w
    and trained on with loss weight 1. The first and the last ``anneal * epochs`` epochs (rounded) train on whole
    batches. The recursions were reconstructed from memory of the paper and checked by algebra; no parity with its
    tables is claimed.

    Args:
        n: Number of samples.
        keep: Fraction b/B of a candidate batch that is trained on, in (0, 1] (default: 1/4).
        b1, b2: Smoothing factors, in [0, 1] (default: 0.2 and 0.9). With b1 = b2 = 1 the draw is uniform.
        anneal: Fraction of the epochs at each end that train on whole batches (default: 0.05).
        scores: Warm-start scores ``[n]`` (larger: harder). Their ranks, scaled to mean 1 (the order of a
            loss), replace s(0), and the annealing epochs at the start are skipped.

    A loss that is NaN or infinite leaves w and s unchanged. Losses must not be negative.

    Cost: O(n) per epoch, O(B log B) per step, two float32 per sample.

    Reference: Cheng, Li & Bian, arXiv 2509.23461 (2025).

    >>> import torch
    >>> from graphprune.samplers import ES
    >>> sampler = ES(8, keep=0.5, anneal=0.0, epochs=1)
    >>> sampler.candidate_batch_size(4)  # rows to load for a training batch of 4
    8
    >>> len(sampler.choose(torch.arange(8), losses=torch.rand(8)))
    4
    """

    needs_losses = True
    _learned = ("s", "w")

    def __init__(
        self,
        n: Count,
        *,
        keep: Keep = 0.25,
        b1: Share = 0.2,
        b2: Share = 0.9,
        anneal: Share = 0.05,
        scores: Tensor | None = None,
        epochs: Epochs,
        seed: Seed = 0,
    ) -> None:
        super().__init__(n, epochs=epochs, seed=seed)
        self.keep, self.b1, self.b2, self.anneal = check_keep(keep), b1, b2, anneal
        self.scores = check_scores(scores, n)
        self.s = torch.full((n,), 1 / n) if self.scores is None else 2 * relative_ranks(self.scores)
        self.w = self.s.clone()

    @property
    def batch_keep(self) -> float:
        return 1.0 if self.is_plain(self.epoch) else self.keep

    def is_plain(self, epoch: int) -> bool:
        """Whether an epoch trains on whole batches, at the start or the end of the run."""
        plain = math.floor(self.anneal * self.epochs + 0.5)
        at_end = plain > 0 and epoch >= self.epochs - plain
        return at_end or (epoch < plain and self.scores is None)

    def _epoch_order(self, epoch: int) -> Tensor:
        return self._shuffle(torch.arange(self.n))

    def _learn(self, rows: Tensor, losses: Tensor | None, errors: Tensor | None) -> None:
        assert losses is not None
        s, known = self.s[rows], losses.isfinite()
        self.w[rows] = torch.where(known, self.b1 * s + (1 - self.b1) * losses, self.w[rows])
        self.s[rows] = torch.where(known, self.b2 * s + (1 - self.b2) * losses, s)

    def _choose(self, rows: Tensor, losses: Tensor | None, features: Tensor | None, count: int) -> Tensor:
        if losses is None:
            raise InputError("ES.choose received no losses; pass those of a forward pass")
        self._learn(rows, losses, None)
        return draw_by_weight(self.w[rows], count, self._step_generator())


def draw_by_weight(weights: Tensor, count: int, draws: torch.Generator) -> Tensor:
    """``count`` positions drawn without replacement, with probability proportional to weight.

    The largest log-weights plus Gumbel noise are such a draw (Efraimidis & Spirakis, 2006), so no loop is
    needed. The noise is drawn on the CPU, which gives the same positions on every device. Cost: O(B log B).

    >>> draw_by_weight(torch.tensor([0.0, 5.0, 0.0]), 1, torch.Generator().manual_seed(0)).tolist()
    [1]
    """
    gumbel = -torch.empty(len(weights)).exponential_(generator=draws).log_()
    keys = weights.clamp_min(torch.finfo(torch.float32).tiny).log() + gumbel.to(
        weights.device, non_blocking=True
    )
    return torch.topk(keys, count).indices
