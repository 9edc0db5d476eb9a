"""A static selection as a sampler."""

from __future__ import annotations

import torch
from torch import Tensor

from graphprune.errors import InputError
from graphprune.rng import generator
from graphprune.samplers.base import EpochSampler


class StaticSampler(EpochSampler):
    """The same rows every epoch, shuffled anew from (seed, epoch).

    Args:
        n: Number of samples in the data set.
        rows: The kept rows ``[K]`` int64.
        loss_weights: ``[K]`` float32, or None for all ones.
    """

    def __init__(
        self, n: int, *, rows: Tensor, loss_weights: Tensor | None = None, epochs: float = 1, seed: int = 0
    ) -> None:
        super().__init__(n, epochs=epochs, seed=seed)
        if not len(rows) or int(rows.min()) < 0 or int(rows.max()) >= n:
            raise InputError(f"the selection must name at least one row and only rows below {n}")
        self.rows = rows
        self._weights: Tensor | None = None
        if loss_weights is not None and not bool((loss_weights == 1).all()):
            self._weights = torch.zeros(n).index_put_((rows,), loss_weights)

    def _epoch_order(self, epoch: int) -> Tensor:
        order = torch.randperm(len(self.rows), generator=generator(self.seed, "epoch", epoch))
        return self.rows[order]

    def weights(self, rows: Tensor) -> Tensor | None:
        if self._weights is None:
            return None
        self._weights = self._weights.to(rows.device)
        return self._weights[rows]
