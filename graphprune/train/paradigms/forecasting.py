"""Forecasting of series with missing values."""

from __future__ import annotations

import torch
from pydantic import InstanceOf
from torch import Tensor

from graphprune.data.base import TaskInfo
from graphprune.registry import register
from graphprune.train.paradigms.base import Paradigm


@register("paradigm", "forecasting", source="masked mean absolute error", status="confirmed")
class Forecasting(Paradigm):
    """Forecasting: train with the masked mean absolute error of forecasts ``[B, T, S]``; missing targets are NaN.

    A sample's loss is the mean over its observed targets, or 0 if there are none. The metric is the mean over all
    observed targets of all samples, in original units.

    Args:
        info: The task; ``target_std`` converts errors to original units.
    """

    metric = "mae"

    def __init__(self, *, info: InstanceOf[TaskInfo]) -> None:
        self.info = info

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        observed = ~targets.isnan()
        # Missing targets are replaced before the subtraction, because NaN times 0 would make the gradient NaN.
        errors = (outputs.float() - targets.masked_fill(~observed, 0)).abs() * observed
        return errors.flatten(1).sum(dim=1) / observed.flatten(1).sum(dim=1).clamp(min=1)

    def signals(self, outputs: Tensor, targets: Tensor, losses: Tensor) -> dict[str, Tensor]:
        return {"loss": losses.detach(), "errors": (outputs.detach().float() - targets).abs()}

    def tally(self, outputs: Tensor, targets: Tensor) -> Tensor:
        observed = ~targets.isnan()
        # A NaN forecast must make the metric NaN, and not count as a missing target.
        errors = (outputs.detach().double() - targets).abs().masked_fill(~observed, 0)
        return torch.stack([errors.sum() * self.info.target_std, observed.sum()])
