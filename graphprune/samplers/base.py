"""What a sampler is: it decides, epoch by epoch, which rows are trained on and in which order."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.utils.data import Sampler

from graphprune.errors import InputError


class EpochSampler(Sampler[int]):
    """A plain ``torch.utils.data`` sampler whose order depends on ``(seed, epoch, history)`` alone.

    It yields positions 0..N-1 of the data set whose ids it was given. The training loop calls
    ``set_epoch`` before an epoch and ``update`` after each step.

    Args:
        n: Number of samples in the data set.
        epochs: Planned epochs (samplers that anneal need it).
        seed: Of its own generator; the global one is never touched.

    Attributes:
        needs_losses: Whether ``update`` must be fed, so that a loop can skip it.
        chooses: Whether ``choose`` drops part of each batch after a forward pass.
    """

    needs_losses: ClassVar[bool] = False
    chooses: ClassVar[bool] = False

    def __init__(self, n: int, *, epochs: float, seed: int = 0) -> None:
        if n < 1:
            raise InputError("a sampler needs at least one sample")
        self.n, self.epochs, self.seed = n, epochs, seed
        self.epoch = 0
        self._order: Tensor | None = None

    def set_epoch(self, epoch: int) -> None:
        """Fixes the order of epoch ``epoch`` from (seed, epoch, history); ``len`` then tells its true length."""
        self.epoch = epoch
        self._order = self._epoch_order(epoch)

    @property
    def order(self) -> Tensor:
        """Rows of the current epoch ``[len(self)]`` int64, in training order."""
        if self._order is None:
            self.set_epoch(self.epoch)
        assert self._order is not None
        return self._order

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[int]:
        return iter(self.order.tolist())

    @abstractmethod
    def _epoch_order(self, epoch: int) -> Tensor:
        """Rows of one epoch ``[L]`` int64 in training order."""

    def update(self, rows: Tensor, losses: Tensor) -> None:
        """Takes the losses ``[B]`` of rows ``[B]`` after a step; ignored unless ``needs_losses``."""

    def weights(self, rows: Tensor) -> Tensor | None:
        """Loss weights ``[B]`` float32 of rows ``[B]``, or None for all ones."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """Tensors and numbers that continue in the middle of an epoch."""
        return {"epoch": self.epoch, "order": self.order}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from `state_dict`."""
        self.epoch, self._order = int(state["epoch"]), torch.as_tensor(state["order"])
