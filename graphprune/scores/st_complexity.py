"""How complex a window of sensor series is to the model that forecasts it."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from graphprune.options import Weight
from graphprune.registry import register
from graphprune.scores.base import Score, Signals, required


@register("score", "st_complexity", source="after Chen et al., arXiv 2602.19113 (2026)", status="ours")
class STComplexity(Score):
    r"""Level and heterogeneity, over sensors and over time, of a window's forecast error at its last visit.

    graphprune formulation, after Chen et al. (ST-Prune, arXiv 2602.19113), whose equation was not available;
    no parity is claimed. Of the absolute errors e of a window, T x S, missing ones left out:

    .. math:: S = z(\mathrm{mean}\,e) + a\,z(\mathrm{std}_S\,\mathrm{mean}_T\,e)
        + b\,z(\mathrm{std}_T\,\mathrm{mean}_S\,e)

    z standardises over the recorded windows (0 where constant), ddof = 0 throughout.

    A sensor-time window has one sensor: with ``links`` its spatial term is the std of the mean errors of
    itself and of its linked sensors at that start, as far as they were recorded.

    Args:
        a: Weight of spatial heterogeneity (default: 1).
        b: Weight of temporal heterogeneity (default: 1); a = b = 0 is the standardised loss.
        level: Weight of the level (default: 1); 0 leaves the heterogeneities alone.
        links: Positions ``[n, L]`` int64 of the linked sensors' windows among the recorded samples, -1 for
            none (default: windows show all sensors).

    Shapes:
        state ``[n]`` float32 x 3 -> values ``[n]`` float32. Windows never visited, and those without any
        observed target, count as error 0 and are left out of z's mean and standard deviation.

    Cost: O(B T S) time per batch, O(N) memory.
    """

    needs = frozenset({"errors"})
    _state = ("mean_error", "spatial", "temporal")

    mean_error: Tensor
    spatial: Tensor
    temporal: Tensor

    def __init__(
        self, *, a: Weight = 1.0, b: Weight = 1.0, level: Weight = 1.0, links: Tensor | None = None
    ) -> None:
        self.a, self.b, self.level, self.links = a, b, level, links

    def _allocate(self, epochs: int, num_classes: int | None) -> None:
        # NaN says "not known": never visited, or nothing observed.
        self.mean_error = self._full(fill=torch.nan)
        self.spatial = self._full()
        self.temporal = self._full()

    def update(self, rows: Tensor, signals: Signals, epoch: int) -> None:
        level, spatial, temporal = complexity_parts(required(signals.errors))
        self.mean_error[rows], self.spatial[rows], self.temporal[rows] = level, spatial, temporal

    def values(self) -> Tensor:
        level = self._finish(self.mean_error)
        spatial = self._finish(self.spatial) if self.links is None else beside_linked(level, self.links.cpu())
        parts = (self.level, level), (self.a, spatial), (self.b, self._finish(self.temporal))
        return combined(parts, level.isfinite())


def combined(parts: Iterable[tuple[float, Tensor]], known: Tensor) -> Tensor:
    """Sum of weights times standardised parts ``[n]``, in float64, as float32; unknown ones count as 0 before."""
    total = torch.zeros(len(known), dtype=torch.float64, device=known.device)
    for weight, part in parts:
        if weight:
            total += weight * standardised(part.double().masked_fill(~known, 0), known)
    return total.float()


def beside_linked(level: Tensor, links: Tensor) -> Tensor:
    """Std of each window's mean error ``[n]`` and those of its linked windows ``[n, L]``, as far as both are known.

    NaN says that a mean error is not known, -1 that there is no link.
    """
    linked = level[links.clamp(min=0)].masked_fill(links < 0, torch.nan)
    return _nanstd(torch.cat([level[:, None], linked], dim=1).double()).nan_to_num(nan=0.0)


def complexity_parts(errors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Level, spatial and temporal heterogeneity ``[B]`` float32 of errors ``[B, T, S]``, NaN where missing.

    NaN for a window without any observed error.
    """
    errors = errors.to(torch.float32)
    return errors.flatten(1).nanmean(dim=1), _nanstd(errors.nanmean(dim=1)), _nanstd(errors.nanmean(dim=2))


def _nanstd(x: Tensor) -> Tensor:
    return (x - x.nanmean(dim=1, keepdim=True)).square().nanmean(dim=1).sqrt()


def standardised(part: Tensor, known: Tensor) -> Tensor:
    """``part [n]`` float64 by mean and standard deviation of its ``known`` ones; 0 where constant."""
    if not bool(known.any()):
        return torch.zeros_like(part)
    mean, std = part[known].mean(), part[known].std(correction=0)
    # A spread of roundings is no spread.
    return (part - mean) / std if std > 1e-12 * mean.abs() else torch.zeros_like(part)
