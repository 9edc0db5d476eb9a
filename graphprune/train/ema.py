"""Exponential moving average of a model's weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn


# `torch.optim.swa_utils.AveragedModel` does not fit: it starts from the weights after the first step, deep-copies the
# module with its hooks, averages integer buffers like weights, and cannot exchange the weights of the live model.
class WeightAverage:
    r"""EMA: average weights and buffers over the steps; the average replaces the weights in every evaluation.

    .. math:: \bar w_t = d_t \bar w_{t-1} + (1 - d_t) w_t, \quad d_t = \min(d, (1 + t) / (10 + t))

    The decay rises from a small value, so that the initial weights have little influence in short runs. Integer
    buffers are copied.

    Args:
        model: The model; the average reads and writes the tensors of its state in place.
        decay: d, in (0, 1).

    Cost: one pass over the weights per step; two copies of the weights in memory while the average is applied.

    >>> model = nn.Linear(1, 1)
    >>> average = WeightAverage(model, 0.9)
    >>> raw = model.weight.item()
    >>> _ = model.weight.data.add_(1)
    >>> average.update()
    >>> with average.applied():
    ...     round(model.weight.item() - raw, 4)  # 1 - d_1 = 9 / 11
    0.8182
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay, self.steps = decay, 0
        self._live = {name: tensor.detach() for name, tensor in model.state_dict().items()}
        self._average = {name: tensor.clone() for name, tensor in self._live.items()}
        self._real = [name for name, tensor in self._live.items() if tensor.is_floating_point()]

    @torch.no_grad()
    def update(self) -> None:
        """Adds the current weights to the average, after each step."""
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
        """Within the block the model has the averaged weights."""
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
        """Restores an average of the same model."""
        self.steps = state["steps"]
        for name, tensor in self._average.items():
            tensor.copy_(state["average"][name])

    @torch.no_grad()
    def _write(self, state: dict[str, Tensor]) -> None:
        for name, tensor in self._live.items():
            tensor.copy_(state[name])
