"""A running average of a model's weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


class WeightAverage:
    r"""Exponential moving average of weights and buffers, in place of the raw ones wherever a model is judged.

    .. math:: \bar w_t = d_t \bar w_{t-1} + (1 - d_t) w_t, \quad d_t = \min(d, (1 + t) / (10 + t))

    The rising start keeps the initial weights from weighing on short runs. Integer buffers are copied.

    Args:
        model: The model; its state's tensors are watched in place.
        decay: d, in (0, 1).

    Cost: one pass over the weights a step, two copies of them in memory while the average is applied.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self._live = {name: tensor.detach() for name, tensor in model.state_dict().items()}
        self._average = {name: tensor.clone() for name, tensor in self._live.items()}
        self._real = [name for name, tensor in self._live.items() if tensor.is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Takes in the weights as they are after a step."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        torch._foreach_lerp_(
            [self._average[name] for name in self._real],
            [self._live[name] for name in self._real],
            1 - decay,
        )
        for name in self._live.keys() - set(self._real):
            self._average[name].copy_(self._live[name])

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Inside the block the model has the averaged weights."""
        raw = {name: tensor.clone() for name, tensor in self._live.items()}
        self.apply()
        try:
            yield
        finally:
            self._write(raw)

    def apply(self) -> None:
        """Gives the model the averaged weights for good."""
        self._write(self._average)

    def state_dict(self) -> dict[str, Any]:
        """The averages and the number of steps."""
        return {"steps": self.steps, "average": self._average}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues an average of the same model."""
        self.steps = state["steps"]
        for name, tensor in self._average.items():
            tensor.copy_(state["average"][name])

    @torch.no_grad()
    def _write(self, state: dict[str, Tensor]) -> None:
        for name, tensor in self._live.items():
            tensor.copy_(state[name])
