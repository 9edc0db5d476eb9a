"""What a training paradigm is: losses and signals of a batch, and the metric of the task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Literal

from torch import Tensor


class Paradigm(ABC):
    """Turns outputs and targets into per-sample losses, recorder signals and one test metric.

    Attributes:
        metric: ``accuracy`` (larger is better) or ``mae`` (smaller is better, original units).
    """

    metric: ClassVar[Literal["accuracy", "mae"]]

    @abstractmethod
    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Differentiable loss of each sample ``[B]`` float32."""

    @abstractmethod
    def signals(self, outputs: Tensor, targets: Tensor, losses: Tensor) -> dict[str, Tensor]:
        """Keyword arguments of ``Recorder.observe`` (without features), detached."""

    @abstractmethod
    def tally(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Sum and count ``[2]`` float64 on the batch's device; the metric is total sum / total count."""
