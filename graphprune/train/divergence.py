"""A training that diverged is reported as such, and not as a bad score."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from graphprune.errors import TrainingDiverged


def refuse_diverged(model: nn.Module, what: str, value: float = 0.0) -> None:
    """Refuses weights, or a metric of them, that hold NaN or infinity.

    Args:
        model: After its training.
        what: Which training, for the message.
        value: What it reached.

    Raises:
        TrainingDiverged: they do.
    """
    finite = torch.stack([p.detach().isfinite().all() for p in model.parameters()]).all()
    if not (bool(finite) and math.isfinite(value)):
        raise _diverged(what, "weights or its result")


def refuse_infinite(what: str, *outputs: Tensor | None) -> None:
    """Refuses a trained model's outputs that hold NaN or infinity, which finite weights may produce if they are huge.

    Raises:
        TrainingDiverged: they do.
    """
    if not all(bool(values.isfinite().all()) for values in outputs if values is not None):
        raise _diverged(what, "outputs")


def _diverged(what: str, parts: str) -> TrainingDiverged:
    return TrainingDiverged(
        f"{what}: the training diverged (its {parts} are not finite); lower lr, or set clip_norm"
    )
