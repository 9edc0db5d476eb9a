"""StaticSampler: a sampler for a fixed selection."""

from __future__ import annotations

from typing import Self

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from graphprune.errors import InputError
from graphprune.samplers.base import EpochSampler
from graphprune.select.base import Selection
from graphprune.table import locate


class StaticSampler(EpochSampler):
    """StaticSampler: train on the same rows in every epoch, shuffled by (seed, epoch).

    Args:
        n: Number of samples in the data set.
        rows: The kept rows ``[K]`` int64 without duplicates.
        loss_weights: ``[K]`` float32, or None if all are 1.

    Cost: O(K log K) once and O(K) per epoch.

    >>> sampler = StaticSampler(5, rows=torch.tensor([0, 3]))
    >>> sorted(sampler)
    [0, 3]
    """

    def __init__(
        self, n: int, *, rows: Tensor, loss_weights: Tensor | None = None, epochs: float = 1, seed: int = 0
    ) -> None:
        super().__init__(n, epochs=epochs, seed=seed)
        if not len(rows) or int(rows.min()) < 0 or int(rows.max()) >= n:
            raise InputError(
                f"rows must contain at least one row and only rows from 0 to {n - 1}; select from the same data set"
            )
        if len(torch.unique(rows)) != len(rows):
            raise InputError("rows contains duplicates; give each row once")
        self.rows = rows
        self._static_weights: Tensor | None = None
        if loss_weights is not None and not bool((loss_weights == 1).all()):
            self._static_weights = torch.zeros(n).index_put_((rows,), loss_weights.float())

    @classmethod
    def from_selection(
        cls, selection: Selection, ids: npt.NDArray[np.int64], *, epochs: float = 1, seed: int = 0
    ) -> Self:
        """Creates the sampler of a selection; ``ids [n]`` are the ascending ids of the data set's rows."""
        rows = torch.from_numpy(locate(ids, selection.ids, "selection"))
        weights = torch.from_numpy(selection.weights)
        return cls(len(ids), rows=rows, loss_weights=weights, epochs=epochs, seed=seed)

    def _epoch_order(self, epoch: int) -> Tensor:
        self._loss_weights = self._static_weights
        self._place_state()
        return self._shuffle(self.rows)
