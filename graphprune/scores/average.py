"""Base class of scores that are the last value or the mean of a quantity of single visits."""

from __future__ import annotations

from abc import abstractmethod
from typing import Literal

import torch
from torch import Tensor

from graphprune.scores.base import Score, Signals
from graphprune.scores.windows import Epochs


class AverageScore(Score):
    """Base class of scores that keep the last value or the running mean of a quantity per visit.

    Subclasses implement ``_of_batch``.

    Args:
        reduce: ``last`` (the last visit, default) or ``mean`` (over visits).
        T: Number of first epochs that count (all if the run has fewer), or ``all`` (default).

    Shapes:
        state ``[n]`` float32 -> values ``[n]`` float32; 0 for samples never visited.

    Raises:
        InputError: an argument is out of range.

    Cost: O(B) time per batch plus ``_of_batch``, O(N) memory.
    """

    _state = ("mean", "visits")

    mean: Tensor
    visits: Tensor

    def __init__(self, *, reduce: Literal["last", "mean"] = "last", T: Epochs = "all") -> None:
        self.reduce, self.T = reduce, T

    def _allocate(self, epochs: int, num_classes: int | None) -> None:
        self._last = epochs if self.T == "all" else self.T
        self.mean = self._full()
        self.visits = self._full(dtype=torch.int32)

    def update(self, rows: Tensor, signals: Signals, epoch: int) -> None:
        if epoch >= self._last:
            return
        values = self._of_batch(signals)
        if self.reduce == "last":
            self.mean[rows] = values
            return
        mean, visits = self.mean[rows], self.visits[rows] + 1
        self.mean[rows] = mean + (values - mean) / visits
        self.visits[rows] = visits

    def values(self) -> Tensor:
        return self._finish(self.mean)

    @abstractmethod
    def _of_batch(self, signals: Signals) -> Tensor:
        """Computes the quantity ``[B]`` float32; larger values are kept."""
