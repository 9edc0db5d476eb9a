"""Optimizer steps: gradient scaling and clipping, learning rate, optimizers and weight average."""

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
    """Stepper: update a model's weights by the optimizer, schedule, clipping and average of the settings.

    For each optimizer step, call `start`, then `backward` for each batch, then `finish`.

    Args:
        model: The model whose weights are updated.
        settings: Optimizer, schedule, clipping, precision and average.
        device: Device of the model.

    Attributes:
        rate: Learning rate of the current step.
    """

    def __init__(self, model: nn.Module, settings: OptimizationConfig, device: torch.device) -> None:
        self.model, self.settings, self.rate = model, settings, 0.0
        self.optimizers = make_optimizers(model, settings)
        # Scaling keeps small fp16 gradients from becoming zero. A disabled scaler does nothing.
        self.scaler = torch.amp.GradScaler(device.type, enabled=settings.precision == "fp16")
        self.average = None if settings.ema is None else WeightAverage(model, settings.ema)

    def start(self, progress: float) -> None:
        """Clears the gradients and sets the learning rate for ``progress`` in [0, 1]."""
        self.rate = self.settings.lr * learning_rate(self.settings.schedule, min(1.0, progress))
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
            for group in optimizer.param_groups:
                group["lr"] = self.rate

    def backward(self, loss: Tensor, share: float) -> None:
        """Adds the gradient of a batch with the fraction ``share`` of the step's samples."""
        scaled: Any = self.scaler.scale(loss if share == 1 else loss * share)
        scaled.backward()

    def finish(self) -> None:
        """Updates the weights, and their average if there is one."""
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
    def averaged(self) -> Iterator[None]:
        """Within the block the model has the averaged weights, if the settings request an average."""
        if self.average is None:
            yield
            return
        with self.average.applied():
            yield

    def keep_average(self) -> None:
        """Gives the model the averaged weights for good, if the settings request an average."""
        if self.average:
            self.average.apply()

    def state_dict(self) -> dict[str, Any]:
        """The state as tensors and numbers, without the model's weights."""
        return {
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "scaler": self.scaler.state_dict(),
            "average": self.average.state_dict() if self.average else {},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores a state of the same model and settings."""
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)
        self.scaler.load_state_dict(state["scaler"])
        if self.average:
            self.average.load_state_dict(state["average"])
