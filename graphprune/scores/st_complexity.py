"""ST-complexity: how difficult a window of sensor data is for the model that forecasts it."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from graphprune.options import Weight
from graphprune.registry import register
from graphprune.scores.base import Score, Signals, required


@register("score", "st_complexity", source="after Chen et al., arXiv 2602.19113 (2026)", status="ours")
class STComplexity(Score):
    r"""ST-complexity: score windows by the level and heterogeneity of their forecast errors at the last visit.

    graphprune formulation, after Chen et al. (ST-Prune, arXiv 2602.19113), whose equation was not available;
    no parity is claimed. For the absolute errors e of a window, T x S, without missing ones:

    .. math:: S = z(\mathrm{mean}\,e) + a\,z(\mathrm{std}_S\,\mathrm{mean}_T\,e)
        + b\,z(\mathrm{std}_T\,\mathrm{mean}_S\,e)

    z standardizes over the recorded windows (0 if constant), with ddof = 0 everywhere.

    A sensor-time window has one sensor. With ``links``, its spatial term is the standard deviation of the mean errors
    of the window and of the windows of its linked sensors with the same start, if they were recorded.

    Args:
        a: Weight of spatial heterogeneity (default: 1).
        b: Weight of temporal heterogeneity (default: 1); a = b = 0 gives the standardized loss.
        level: Weight of the level (default: 1); 0 leaves only the heterogeneities.
        links: Positions ``[n, L]`` int64 of the linked sensors' windows among the recorded samples, -1 for
            none (default: None, for windows of all sensors).

    Shapes:
        state ``[n]`` float32 x 3 -> values ``[n]`` float32. Windows that were never visited or have no
        observed target count as error 0 and are excluded from the mean and standard deviation of z.

    Cost: O(B T S) time per batch, O(N) memory.

    >>> score = STComplexity()
    >>> score.start(2, epochs=1, num_classes=None)
    >>> errors = torch.tensor([[[1.0, 1.0], [1.0, 1.0]], [[2.0, 4.0], [6.0, 8.0]]])  # [windows, steps, sensors]
    >>> score.update(torch.arange(2), Signals(errors=errors), epoch=0)
    >>> score.values().tolist()
    [-3.0, 3.0]
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
        # NaN means unknown: never visited, or nothing observed.
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
    """Weighted sum of standardized parts ``[n]``, computed in float64, as float32; unknown values count as 0."""
    total = torch.zeros(len(known), dtype=torch.float64, device=known.device)
    for weight, part in parts:
        if weight:
            total += weight * standardized(part.double().masked_fill(~known, 0), known)
    return total.float()


def beside_linked(level: Tensor, links: Tensor) -> Tensor:
    """Standard deviation ``[n]`` of the mean errors ``[n]`` of a window and its linked windows ``[n, L]``.

    A mean error of NaN is unknown and ignored; a link of -1 marks a missing link.
    """
    linked = level[links.clamp(min=0)].masked_fill(links < 0, torch.nan)
    return _nanstd(torch.cat([level[:, None], linked], dim=1).double()).nan_to_num(nan=0.0)


def complexity_parts(errors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Computes level, spatial and temporal heterogeneity, each ``[B]`` float32, of errors ``[B, T, S]``.

    Missing errors are NaN; a window without any observed error gives NaN.
    """
    errors = errors.to(torch.float32)
    return errors.flatten(1).nanmean(dim=1), _nanstd(errors.nanmean(dim=1)), _nanstd(errors.nanmean(dim=2))


def _nanstd(x: Tensor) -> Tensor:
    return (x - x.nanmean(dim=1, keepdim=True)).square().nanmean(dim=1).sqrt()


def standardized(part: Tensor, known: Tensor) -> Tensor:
    """Standardizes ``part [n]`` float64 by the mean and deviation of its ``known`` values; 0 if constant."""
    if not bool(known.any()):
        return torch.zeros_like(part)
    mean, std = part[known].mean(), part[known].std(correction=0)
    # A deviation that consists of rounding errors counts as 0.
    return (part - mean) / std if std > 1e-12 * mean.abs() else torch.zeros_like(part)
