"""The interface of training paradigms: losses and signals of a batch, and the metric of the task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn

from graphprune.runtime.facts import JobFacts


@dataclass(frozen=True)
class Noise:
    """Noise: random numbers for each sample of a batch, independent of the number of processes.

    Args:
        draws: Generator on the CPU; None uses the global generator.
        positions: Positions ``[B]`` of this process's samples in the batch (default: they are the whole batch).
        total: Size of the batch.

    >>> own = Noise(torch.Generator().manual_seed(0), torch.tensor([1, 3]), 4).uniform(torch.zeros(2, 5))
    >>> whole = Noise(torch.Generator().manual_seed(0)).uniform(torch.zeros(4, 5))
    >>> torch.equal(own, whole[[1, 3]])
    True
    """

    draws: torch.Generator | None = None
    positions: Tensor | None = None
    total: int = 0

    def uniform(self, x: Tensor) -> Tensor:
        """Numbers in [0, 1) with the shape ``[B, ...]``, dtype and device of ``x``."""
        length = len(x) if self.positions is None else self.total
        whole = torch.rand((length, *x.shape[1:]), generator=self.draws).to(x, non_blocking=True)
        return whole if self.positions is None else whole[self.positions.to(x.device, non_blocking=True)]


class Paradigm(ABC):
    """Paradigm: compute per-sample losses, recorder signals and the test metric from outputs and targets.

    Attributes:
        metric: ``accuracy`` (larger is better) or ``mae`` (smaller is better, original units).
        draws: Whether ``outputs`` and ``observed`` receive `Noise`.
        extra_trained: Forward passes per trained sample in addition to the one of a plain step (a backward pass
            counts as two).
        extra_observed: Forward passes per sample of the recorder's evaluation pass, in addition to one.
    """

    metric: ClassVar[Literal["accuracy", "mae"]]
    draws: ClassVar[bool] = False
    extra_trained: float = 0
    extra_observed: float = 0

    def check(self, job: JobFacts) -> None:  # noqa: B027 (most have nothing to check)
        """Rejects options that do not fit the data, before anything is trained."""

    def outputs(self, model: nn.Module, x: Tensor, targets: Tensor, noise: Noise | None) -> Tensor:
        """The input of ``losses`` and ``signals`` in a training step; by default the model's outputs."""
        outputs: Tensor = model(x)
        return outputs

    def observed(self, model: nn.Module, x: Tensor, targets: Tensor, noise: Noise | None) -> Tensor:
        """The input of ``losses`` and ``signals`` in the recorder's evaluation pass (no gradients)."""
        outputs: Tensor = model(x)
        return outputs

    def features(self, features: Tensor, count: int) -> Tensor:
        """Features ``[count, H]`` that belong to the signals, selected from those of the latest forward pass."""
        return features

    @abstractmethod
    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The differentiable loss of each sample, ``[B]`` float32."""

    @abstractmethod
    def signals(self, outputs: Tensor, targets: Tensor, losses: Tensor) -> dict[str, Tensor]:
        """Keyword arguments of ``Recorder.observe`` (without features), detached."""

    @abstractmethod
    def tally(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Sum and count ``[2]`` float64 on the batch's device; the metric is the total sum / the total count."""
