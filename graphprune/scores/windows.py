"""A sliding window over each sample's own visits, for scores that compute statistics of windows."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from graphprune.errors import InputError
from graphprune.options import Count
from graphprune.scores.base import Score

Epochs = Count | Literal["all"]
Window = Annotated[int, Field(ge=2, le=1_000_000)]


class WindowScore(Score):
    """Base class of scores that keep the last values of each sample in a ring ``[n + 1, length]`` float32.

    ``visits`` counts a sample's visits; subclasses read windows with `_window` and write with `_push`.
    """

    _state: ClassVar[tuple[str, ...]] = ("ring", "visits", "total")

    ring: Tensor
    visits: Tensor
    total: Tensor

    def _allocate_ring(self, length: int) -> None:
        self.ring = self._full(length)
        self.visits = self._full(dtype=torch.int32)
        self.total = self._full()

    def _window(self, rows: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the last values ``[B, length]``, in no particular order, and the number of visits ``[B]`` int32."""
        return self.ring[rows], self.visits[rows]

    def _push(self, rows: Tensor, slots: Tensor, values: Tensor) -> None:
        """Writes ``values [B]`` to the ring ``slots [B]`` and counts one visit each."""
        self.ring[rows, slots.to(torch.int64)] = values
        self.visits[rows] = self.visits[rows] + 1


def first_epochs(name: str, limit: Epochs, epochs: int, window: int) -> int:
    """Resolves the ``T`` of a score to a number of epochs; raises `InputError` if it does not fit."""
    first = epochs if limit == "all" else limit
    if epochs < first:
        raise InputError(
            f"{name}: the run has {epochs} epochs but T is {first}; train at least {first} epochs or set T "
            f"to at most {epochs} (T: all takes every epoch)"
        )
    if first < window:
        raise InputError(
            f"{name}: {first} epochs cannot fill a window of {window}; train at least {window} epochs and set T "
            f"to at least {window}, or set window to at most {first}"
        )
    return first
