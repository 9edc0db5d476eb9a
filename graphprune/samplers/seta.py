"""Slide from easy to hard groups of losses."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from graphprune.errors import InputError
from graphprune.graph.kmeans import kmeans_1d
from graphprune.options import Count, Epochs, Keep, Part, Seed, Share
from graphprune.registry import register
from graphprune.runtime.rng import generator
from graphprune.samplers.base import EpochSampler
from graphprune.select.base import count_kept


@register("sampler", "seta", source="Zhou et al., CVPR 2025, arXiv 2503.13385", status="confirmed")
class SeTa(EpochSampler):
    """SeTa: a random part of the data, and of it a window of loss groups that slides from easy to hard.

    Each epoch draws ``(1 - r) n`` samples, splits their last losses into ``groups`` by k-means and trains on
    ``round(window * groups)`` neighbouring groups; the window starts at group ``epoch mod (positions)``, so
    it slides from easy to hard and then begins again. The first epoch, in which losses become known, and all
    after epoch ``delta * epochs`` (partial annealing) train on the whole random part. Weights are 1.

    The groups are those of k-means on all drawn losses, as in the authors' code. Theirs depend on a random
    start; here they are the (nearly) optimal ones, see `kmeans_1d`.

    Args:
        n: Number of samples.
        r: Fraction left out at random each epoch, in [0, 1) (default: 0.1).
        groups: k-means groups of the losses, 1 to 256 (default: 10).
        window: Fraction of the groups trained on, in (0, 1] (default: 0.5).
        delta: Fraction of the epochs after which the window is open (default: 0.875).

    The share that is trained on follows from the sizes of the groups and is not fixed in advance. A sample
    whose loss is not known counts as hardest.

    Cost: O(n log n) an epoch, O(B) a step, one float32 per sample.
    """

    needs_losses = True
    _learned = _infinite_if_unseen = ("losses",)

    def __init__(
        self,
        n: Count,
        *,
        r: Part = 0.1,
        groups: Annotated[int, Field(ge=1, le=256)] = 10,
        window: Keep = 0.5,
        delta: Share = 0.875,
        epochs: Epochs,
        seed: Seed = 0,
    ) -> None:
        super().__init__(n, epochs=epochs, seed=seed)
        self.r, self.groups, self.window, self.delta = r, groups, window, delta
        self.losses = torch.full((n,), torch.inf)

    def _learn(self, rows: Tensor, losses: Tensor | None, errors: Tensor | None) -> None:
        assert losses is not None
        self.losses.index_copy_(0, rows, losses)

    def _epoch_order(self, epoch: int) -> Tensor:
        draws = generator(self.seed, "seta", epoch)
        rows = torch.randperm(self.n, generator=draws)[: count_kept(self.n, 1 - self.r)]
        if epoch == 0 or epoch + 1 > self.delta * self.epochs:
            return rows
        losses = self.losses.cpu()[rows].nan_to_num(torch.inf, torch.inf, torch.inf)
        if not bool(losses.isfinite().any()):
            raise InputError(
                f"no losses were heard before epoch {epoch}; call update(rows, losses) in each step"
            )
        return rows[self._in_window(losses, epoch)]

    def _in_window(self, losses: Tensor, epoch: int) -> Tensor:
        group = kmeans_1d(losses.clamp_max(losses[losses.isfinite()].max()), self.groups)
        groups = int(group.max()) + 1
        size = max(1, round(groups * self.window))
        start = epoch % (groups - size + 1)
        return (group >= start) & (group < start + size)
