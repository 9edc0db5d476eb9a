"""SeTa: a window of loss groups that slides from easy to hard."""

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
    """SeTa: train on a sliding window of loss groups, from easy to hard, within a random subset.

    Each epoch draws ``(1 - r) n`` samples, divides their last losses into ``groups`` groups by k-means and trains
    on ``round(window * groups)`` neighboring groups. The window starts at group ``epoch mod (positions)``, so it
    slides from easy to hard and then starts again. The first epoch, which records the losses, and all epochs after
    ``delta * epochs`` (partial annealing) train on the whole random subset. Loss weights are 1.

    As in the authors' code, k-means runs on all drawn losses. Their groups depend on a random initialization; here
    they are the (nearly) optimal ones, see `kmeans_1d`.

    Args:
        n: Number of samples.
        r: Fraction of the samples left out at random in each epoch, in [0, 1) (default: 0.1).
        groups: Number of k-means groups of the losses, 1 to 256 (default: 10).
        window: Fraction of the groups trained on, in (0, 1] (default: 0.5).
        delta: Fraction of the epochs after which the window is not applied (default: 0.875).

    The fraction of samples trained on depends on the sizes of the groups and is not known in advance. Samples
    without a recorded loss count as hardest.

    Cost: O(n log n) per epoch, O(B) per step, one float32 per sample.

    Reference: Zhou et al., CVPR 2025, arXiv 2503.13385.

    >>> import torch
    >>> from graphprune.samplers import SeTa
    >>> sampler = SeTa(4, r=0.0, groups=2, epochs=10)
    >>> sampler.update(torch.arange(4), losses=torch.tensor([0.1, 2.0, 0.1, 2.0]))
    >>> for epoch in (1, 2):
    ...     sampler.set_epoch(epoch)
    ...     sorted(sampler)
    [1, 3]
    [0, 2]
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
                f"no losses recorded before epoch {epoch}; call update(rows, losses) after every step"
            )
        return rows[self._in_window(losses, epoch)]

    def _in_window(self, losses: Tensor, epoch: int) -> Tensor:
        group = kmeans_1d(losses.clamp_max(losses[losses.isfinite()].max()), self.groups)
        groups = int(group.max()) + 1
        size = max(1, round(groups * self.window))
        start = epoch % (groups - size + 1)
        return (group >= start) & (group < start + size)
