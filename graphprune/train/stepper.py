"""One step of the weights: gradients in, scaled and clipped, optimizers, average."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from graphprune.config.training import OptimizationConfig
from graphprune.train.ema import WeightAverage
from graphprune.train.optimizer import learning_rate, make_optimizers


class Stepper:
    """Moves a model's weights as the settings say; all its state goes into checkpoints.

    Args:
        model: Whose weights.
        settings: Optimizer, schedule, clipping, precision and average.
        device: Where the model lives.

    Attributes:
        rate: The learning rate of the step under way.
    """

    def __init__(self, model: nn.Module, settings: OptimizationConfig, device: torch.device) -> None:
        self.model, self.settings, self.rate = model, settings, 0.0
        self.optimizers = make_optimizers(model, settings)
        # Scaled gradients keep fp16 from flushing them to zero; switched off it passes everything through.
        self.scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "fp16")
        self.average = None if settings.ema is None else WeightAverage(model, settings.ema)

    def begin(self, progress: float) -> None:
        """Forgets old gradients and sets the learning rate of ``progress`` in [0, 1]."""
        self.rate = self.settings.lr * learning_rate(self.settings.schedule, min(1.0, progress))
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
            for group in optimizer.param_groups:
                group["lr"] = self.rate

    def add(self, loss: Tensor, share: float) -> None:
        """Adds the gradient of a batch that makes up this share of the step."""
        scaled: Any = self.scaler.scale(loss if share == 1 else loss * share)
        scaled.backward()

    def finish(self) -> None:
        """Moves the weights."""
        for optimizer in self.optimizers:
            self.scaler.unscale_(optimizer)
        if self.settings.clip_norm is not None:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.clip_norm)
        for optimizer in self.optimizers:
            self.scaler.step(optimizer)
        self.scaler.update()
        if self.average:
            self.average.update()

    @contextmanager
    def judged(self) -> Iterator[None]:
        """Inside the block the model has the weights that are judged: the averaged ones, if there are any."""
        if self.average is None:
            yield
            return
        with self.average.applied():
            yield

    def conclude(self) -> None:
        """Leaves the model with the weights that are judged."""
        if self.average:
            self.average.apply()

    def state_dict(self) -> dict[str, Any]:
        """Tensors and numbers; the model's own weights apart."""
        return {
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "scaler": self.scaler.state_dict(),
            "average": self.average.state_dict() if self.average else {},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues with the same model and settings."""
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.scaler.load_state_dict(state["scaler"])
        if self.average:
            self.average.load_state_dict(state["average"])
