"""What a training paradigm is: losses and signals of a batch, and the metric of the task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from graphprune.runtime.facts import JobFacts


@dataclass(frozen=True)
class Noise:
    """Random numbers of a batch's samples, for each the same whichever process holds it.

    Args:
        draws: Lives on the CPU; None: the global generator.
        positions: Of the samples at hand in their batch ``[B]`` (default: they are the whole batch).
        total: Length of that batch.
    """

    draws: torch.Generator | None = None
    positions: Tensor | None = None
    total: int = 0

    def uniform(self, x: Tensor) -> Tensor:
        """Numbers in [0, 1) in the shape ``[B, ...]``, dtype and device of ``x``."""
        length = len(x) if self.positions is None else self.total
        whole = torch.rand((length, *x.shape[1:]), generator=self.draws).to(x, non_blocking=True)
        return whole if self.positions is None else whole[self.positions.to(x.device, non_blocking=True)]


class Paradigm(ABC):
    """Turns outputs and targets into per-sample losses, recorder signals and one test metric.

    Attributes:
        metric: ``accuracy`` (larger is better) or ``mae`` (smaller is better, original units).
        draws: Whether ``outputs`` and ``observed`` are given `Noise`.
        extra_trained: Forward passes per trained sample beyond a plain step's one (a backward pass counts two).
        extra_observed: The same per sample of the recorder's evaluation pass.
    """

    metric: ClassVar[Literal["accuracy", "mae"]]
    draws: ClassVar[bool] = False
    extra_trained: float = 0
    extra_observed: float = 0

    def check(self, job: JobFacts) -> None:  # noqa: B027 (most have nothing to refuse)
        """Refuses options that do not fit the data, before anything is trained."""

    def outputs(self, model: nn.Module, x: Tensor, targets: Tensor, noise: Noise | None) -> Tensor:
        """What ``losses`` and ``signals`` of a training step are computed from; by default the model's outputs."""
        outputs: Tensor = model(x)
        return outputs

    def observed(self, model: nn.Module, x: Tensor, targets: Tensor, noise: Noise | None) -> Tensor:
        """The same for the recorder's evaluation pass (evaluation mode, no gradients)."""
        outputs: Tensor = model(x)
        return outputs

    def features(self, features: Tensor, count: int) -> Tensor:
        """Features ``[count, H]`` that belong to the signals, of those that the latest forward pass showed."""
        return features

    @abstractmethod
    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Differentiable loss of each sample ``[B]`` float32."""

    @abstractmethod
    def signals(self, outputs: Tensor, targets: Tensor, losses: Tensor) -> dict[str, Tensor]:
        """Keyword arguments of ``Recorder.observe`` (without features), detached."""

    @abstractmethod
    def tally(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Sum and count ``[2]`` float64 on the batch's device; the metric is total sum / total count."""
