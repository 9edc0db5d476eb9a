"""MAE, RMSE and MAPE of forecasts in original units, over all horizons and at single ones."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from graphprune.data.base import Samples, TaskInfo
from graphprune.embed.module import evaluation
from graphprune.runtime.precision import autocast

# The horizon steps that tables in the literature show.
SHOWN_STEPS = (3, 6, 12)

# For "all" and for each single step: mae, rmse and mape, None if there is no target.
Errors = dict[str, dict[str, float | None]]

# Relative errors of smaller targets are meaningless: stationary traffic or an empty road.
SMALLEST_TRUTH = 1e-3


class ForecastErrors:
    """ForecastErrors: accumulate the masked errors of forecasts per horizon step.

    MAPE omits targets whose absolute value is below ``SMALLEST_TRUTH``, as the literature omits zeros.

    Args:
        info: The task (horizon, and the target's mean and standard deviation).
        device: Device of the sums.

    >>> info = TaskInfo("forecasting", (1, 1, 1), horizon=2, target_mean=10.0, target_std=2.0)
    >>> errors = ForecastErrors(info)
    >>> errors.update(torch.tensor([[[1.0], [0.0]]]), torch.tensor([[[0.0], [torch.nan]]]))
    >>> errors.summary()
    {'mae': 2.0, 'rmse': 2.0, 'mape': 0.2}
    """

    def __init__(self, info: TaskInfo, *, device: torch.device | str = "cpu") -> None:
        self.info = info
        # Rows: absolute, squared and relative error, observed targets, targets that count for MAPE.
        self.sums = torch.zeros(5, info.horizon, dtype=torch.float64, device=device)

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Adds forecasts and targets ``[B, horizon, node]`` in standardized units, NaN if missing."""
        truth = targets.double() * self.info.target_std + self.info.target_mean
        errors = (outputs.detach().double() - targets).abs() * self.info.target_std
        seen = ~truth.isnan()
        large = seen & (truth.abs() >= SMALLEST_TRUTH)
        relative = (errors / truth.abs()).masked_fill(~large, 0)
        errors = errors.masked_fill(~seen, 0)
        parts = (errors, errors.square(), relative, seen.double(), large.double())
        self.sums += torch.stack([part.sum(dim=(0, 2)) for part in parts])

    def summary(self, steps: Sequence[int] | None = None) -> dict[str, float | None]:
        """``mae``, ``rmse`` and ``mape`` (a fraction) over horizon ``steps``, counted from 1 (default: all).

        A measure is None if there is no target.
        """
        chosen = self.sums if steps is None else self.sums[:, [step - 1 for step in steps]]
        absolute, squared, relative, seen, large = chosen.sum(dim=1).tolist()
        return {
            "mae": absolute / seen if seen else None,
            "rmse": math.sqrt(squared / seen) if seen else None,
            "mape": relative / large if large else None,
        }

    def by_step(self, steps: Sequence[int] = SHOWN_STEPS) -> Errors:
        """Summaries for ``all`` and for each of ``steps`` within the task's horizon, such as ``"3"``."""
        single = {str(step): self.summary([step]) for step in steps if step <= self.info.horizon}
        return {"all": self.summary(), **single}


def forecast_errors(
    model: nn.Module,
    samples: Samples,
    info: TaskInfo,
    *,
    device: torch.device | str = "cpu",
    precision: str = "float32",
    steps: Sequence[int] = SHOWN_STEPS,
    batch_size: int = 512,
) -> Errors:
    """Errors of a model over all samples, by horizon step (see `ForecastErrors.by_step`).

    Cost: one forward pass over the samples.
    """
    device = torch.device(device)
    errors = ForecastErrors(info, device=device)
    with evaluation(model):
        for batch in samples.batches(torch.split(torch.arange(len(samples)), batch_size), device=device):
            with autocast(device, precision):
                outputs = model(batch.x)
            errors.update(outputs.float(), batch.y)
    return errors.by_step(steps)
