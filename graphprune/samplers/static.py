"""A static selection as a sampler."""

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
    """The same rows every epoch, shuffled anew from (seed, epoch).

    Args:
        n: Number of samples in the data set.
        rows: The kept rows ``[K]`` int64 without repetition.
        loss_weights: ``[K]`` float32, or None for all ones.
    """

    def __init__(
        self, n: int, *, rows: Tensor, loss_weights: Tensor | None = None, epochs: float = 1, seed: int = 0
    ) -> None:
        super().__init__(n, epochs=epochs, seed=seed)
        if not len(rows) or int(rows.min()) < 0 or int(rows.max()) >= n:
            raise InputError(f"the selection must name at least one row and only rows below {n}")
        if len(torch.unique(rows)) != len(rows):
            raise InputError("the selection names some rows more than once; keep each row once")
        self.rows = rows
        self._static_weights: Tensor | None = None
        if loss_weights is not None and not bool((loss_weights == 1).all()):
            self._static_weights = torch.zeros(n).index_put_((rows,), loss_weights.float())

    @classmethod
    def from_selection(
        cls, selection: Selection, ids: npt.NDArray[np.int64], *, epochs: float = 1, seed: int = 0
    ) -> Self:
        """The sampler of a selection over a data set whose rows have the ascending ``ids [n]``."""
        rows = torch.from_numpy(locate(ids, selection.ids, "selection"))
        weights = torch.from_numpy(selection.weights)
        return cls(len(ids), rows=rows, loss_weights=weights, epochs=epochs, seed=seed)

    def _epoch_order(self, epoch: int) -> Tensor:
        self._loss_weights = self._static_weights
        self._place_state()
        return self._shuffle(self.rows)
