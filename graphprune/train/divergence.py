"""Reports a diverged training as an error instead of as a bad score."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from graphprune.errors import TrainingDiverged


def refuse_diverged(model: nn.Module, what: str, value: float = 0.0) -> None:
    """Raises if the weights of a trained model, or its metric, are NaN or infinite.

    Args:
        model: The trained model.
        what: Name of the training, for the message.
        value: Value of its metric.

    Raises:
        TrainingDiverged: a weight or the value is not finite.
    """
    finite = torch.stack([p.detach().isfinite().all() for p in model.parameters()]).all()
    if not (bool(finite) and math.isfinite(value)):
        raise _diverged(what, "weights or its result")


def refuse_infinite(what: str, *outputs: Tensor | None) -> None:
    """Raises if outputs of a trained model are NaN or infinite, which huge finite weights may cause.

    Raises:
        TrainingDiverged: an output is not finite.
    """
    if not all(bool(values.isfinite().all()) for values in outputs if values is not None):
        raise _diverged(what, "outputs")


def _diverged(what: str, parts: str) -> TrainingDiverged:
    return TrainingDiverged(
        f"{what}: the training diverged (its {parts} are not finite); lower lr, or set clip_norm"
    )
