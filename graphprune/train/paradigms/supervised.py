"""Supervised classification."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from graphprune.options import Part
from graphprune.registry import register
from graphprune.train.paradigms.base import Paradigm

Loss = Callable[[Tensor, Tensor], Tensor]


@register("paradigm", "supervised", source="cross-entropy", status="confirmed")
class Supervised(Paradigm):
    """Supervised: train with the cross-entropy of ``outputs [B, C]`` and ``targets [B]``; the metric is accuracy.

    Args:
        label_smoothing: Label smoothing of the training loss; scores use the loss without it.
        loss: Another per-sample loss ``(outputs, targets) -> [B]``.
    """

    metric = "accuracy"

    def __init__(self, *, label_smoothing: Part = 0.0, loss: Loss | None = None) -> None:
        self.label_smoothing, self.loss = label_smoothing, loss

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        if self.loss is not None:
            return self.loss(outputs, targets)
        return cross_entropy(outputs.float(), targets, reduction="none", label_smoothing=self.label_smoothing)

    def signals(self, outputs: Tensor, targets: Tensor, losses: Tensor) -> dict[str, Tensor]:
        logits = outputs.detach().float()
        plain = cross_entropy(logits, targets, reduction="none") if self.label_smoothing else losses.detach()
        return {"logits": logits, "targets": targets, "loss": plain}

    def tally(self, outputs: Tensor, targets: Tensor) -> Tensor:
        correct = (outputs.argmax(dim=1) == targets).sum()
        return torch.stack([correct, correct.new_full((), len(targets))]).double()
