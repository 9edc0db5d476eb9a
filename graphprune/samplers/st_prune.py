"""STPrune: dynamic pruning of simple windows of sensor series."""

from __future__ import annotations

import torch
from torch import Tensor

from graphprune.errors import InputError
from graphprune.options import Count, Epochs, Part, Seed, Share, Weight
from graphprune.registry import register
from graphprune.runtime.rng import generator
from graphprune.samplers.base import EpochSampler
from graphprune.samplers.warm import check_scores, fill_unseen
from graphprune.scores.st_complexity import beside_linked, combined, complexity_parts


@register("sampler", "st_prune", source="after Chen et al., arXiv 2602.19113 (2026)", status="ours")
class STPrune(EpochSampler):
    r"""STPrune: leave out simple spatio-temporal windows and weight the kept ones by stationarity.

    This is graphprune's formulation, after Chen et al. (2026); only the abstract was available, and no parity is
    claimed. The complexity c of a window is computed from its absolute forecast errors e (T x S), which are updated
    whenever the window is trained on:

    .. math:: c = z(\mathrm{mean}\, e) + a\, z(\mathrm{std}_S\, \mathrm{mean}_T\, e)
        + b\, z(\mathrm{std}_T\, \mathrm{mean}_S\, e)

    z standardizes over all seen windows (0 if constant). Windows in :math:`L = \{i : c_i < \bar c\}` are left out
    with probability r; those of L that are kept have the loss weight :math:`1 + q_i (1 / (1 - r) - 1)`. With
    q = 1 and without rescaling, the expected loss is exact; otherwise window i of L is underweighted by
    ``(1 - q_i) r``, and rescaling multiplies all weights by a common factor. Nothing is left out in the first
    epoch, which records the errors, or after epoch ``delta * epochs``.

    Args:
        n: Number of windows.
        r: Probability that a simple window is left out, in [0, 1) (default: 0.5).
        a, b: Weights of spatial and temporal heterogeneity; 0 disables one. With a = b = 0 only losses are
            needed (default: 1 and 1).
        links: Rows ``[n, L]`` int64 of the linked sensors' windows, -1 for none; they give the spatial part for
            windows of single sensors, as in the score (default: None, windows contain all sensors).
        stationarity: q ``[n]`` in [0, 1], see `graphprune.samplers.stationarity` (default: 1 for all).
        weigh: Whether the kept windows of L have increased weights (default: True).
        rescale: Whether an epoch's weights are scaled to mean 1 (default: True).
        anneal: Whether pruning ends after ``delta * epochs`` (default: True).
        delta: Fraction of the epochs that prune (default: 0.875).
        scores: Warm-start scores ``[n]`` (larger: more complex); the first epoch then also prunes.

    Cost: O(n) per epoch, O(B T S) per step, four float32 per window.

    Reference: after Chen et al., arXiv 2602.19113 (2026).

    >>> import torch
    >>> from graphprune.samplers import STPrune
    >>> sampler = STPrune(4, r=0.9, epochs=10)
    >>> errors = torch.ones(4, 2, 3) * torch.tensor([0.1, 0.1, 5.0, 5.0])[:, None, None]  # [B, T, S]
    >>> sampler.update(torch.arange(4), errors=errors)
    >>> sampler.set_epoch(1)
    >>> {2, 3} <= set(sampler)  # complex windows are always kept
    True
    """

    _learned = ("level", "spatial", "temporal")
    _infinite_if_unseen = ("level",)

    def __init__(
        self,
        n: Count,
        *,
        r: Part = 0.5,
        a: Weight = 1.0,
        b: Weight = 1.0,
        links: Tensor | None = None,
        stationarity: Tensor | None = None,
        weigh: bool = True,
        rescale: bool = True,
        anneal: bool = True,
        delta: Share = 0.875,
        scores: Tensor | None = None,
        epochs: Epochs,
        seed: Seed = 0,
    ) -> None:
        super().__init__(n, epochs=epochs, seed=seed)
        self.r, self.a, self.b, self.delta = r, a, b, delta
        self.weigh, self.rescale, self.anneal = weigh, rescale, anneal
        self.scores = check_scores(scores, n)
        if links is not None and len(links) != n:
            raise InputError(
                f"links has {len(links)} rows for {n} windows; give one row per window, with -1 for no link"
            )
        self.links = links
        q = check_scores(stationarity, n, "stationarity")
        self.stationarity = torch.ones(n) if q is None else q.float()
        if bool(((self.stationarity < 0) | (self.stationarity > 1)).any()):
            raise InputError(
                f"stationarity ranges from {float(self.stationarity.min()):g} to {float(self.stationarity.max()):g}; "
                "give values in [0, 1]"
            )
        self.needs_errors = bool(a or b)
        self.needs_losses = not self.needs_errors
        self.level = torch.full((n,), torch.inf)
        self.spatial, self.temporal = torch.zeros(n), torch.zeros(n)

    def _learn(self, rows: Tensor, losses: Tensor | None, errors: Tensor | None) -> None:
        if errors is None:
            assert losses is not None
            self.level[rows] = losses.where(losses.isfinite(), torch.inf)
            return
        level, spatial, temporal = complexity_parts(errors)
        self.level[rows] = level.where(level.isfinite(), torch.inf)
        self.spatial[rows] = spatial.where(spatial.isfinite(), 0.0)
        self.temporal[rows] = temporal.where(temporal.isfinite(), 0.0)

    def complexity(self) -> Tensor:
        """Complexity ``[n]`` float32 of every window, ``inf`` where none is known."""
        level = self.level.cpu()
        seen = level.isfinite()
        spatial = self.spatial.cpu()
        if self.links is not None and self.a:
            spatial = beside_linked(level.masked_fill(~seen, torch.nan), self.links.cpu())
        parts = (1.0, level), (self.a, spatial), (self.b, self.temporal.cpu())
        return combined(parts, seen).masked_fill_(~seen, torch.inf)

    def _epoch_order(self, epoch: int) -> Tensor:
        ended = self.anneal and epoch + 1 > self.delta * self.epochs
        if ended or (epoch == 0 and self.scores is None):
            return self._shuffle(torch.arange(self.n))
        complexity = fill_unseen(self.complexity(), self.scores)
        known = complexity[complexity.isfinite()]
        if not len(known):
            needed = "errors" if self.needs_errors else "losses"
            raise InputError(f"no {needed} recorded before epoch {epoch}; call update() after every step")
        simple = complexity < known.double().mean()
        draws = torch.rand(self.n, generator=generator(self.seed, "st_prune", epoch))
        kept = torch.nonzero(~simple | (draws >= self.r)).squeeze(1)
        if self.weigh:
            weights = torch.where(simple, 1 + self.stationarity * (1 / (1 - self.r) - 1), 1.0)
            if self.rescale:
                weights = weights / weights[kept].double().mean().float()
            self._loss_weights = weights
            self._place_state()
        return self._shuffle(kept)
