"""A training that diverged is reported as such, and not as a bad score."""

from __future__ import annotations

import math

import torch
from torch import nn

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
        raise TrainingDiverged(
            f"{what}: the training diverged (its weights or its result are not finite); lower lr, or set clip_norm"
        )
