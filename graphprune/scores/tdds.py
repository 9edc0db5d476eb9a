"""TDDS: deviation of the divergence between epochs, over windows weighted toward the last."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from graphprune.errors import InputError
from graphprune.options import Keep
from graphprune.registry import register
from graphprune.runtime.facts import JobFacts
from graphprune.scores.base import Signals, required
from graphprune.scores.row_store import row_store
from graphprune.scores.windows import Epochs, WindowScore, first_epochs

_EPSILON = 1e-8


@register("score", "tdds", source="Zhang et al., CVPR 2024, arXiv 2311.13613", status="confirmed")
class TDDS(WindowScore):
    r"""TDDS: score samples by the deviation of the divergence between epochs, averaged over windows.

    .. math::
        D_j = \sum_c |P_{j+1,c} (\log(P_{j+1,c} + \epsilon) - \log(P_{j,c} + \epsilon))|, \quad
        R_k = \lVert (D_j - \bar D_k)_{j=k}^{k+J-2} \rVert_2, \quad
        S = \sum_{k=0}^{T-J} a (1-a)^{T-J-k} R_k

    with :math:`\epsilon` = 1e-8 (temporal dual-depth scoring). The sum is an exponential average, updated when a
    window is complete.

    Args:
        T: Number of first epochs that count, or ``all`` (default: 10).
        window: J, visits per window, at least 3 (default: 10). For ResNet-18 on CIFAR the authors use
            (T, J) = (90, 10) to keep 70 %, then (70, 10), (60, 20), (20, 10), (10, 5) to keep less.
        decay: a, weight of the newest window (default: 0.9).
        row_dtype: Number format of each sample's previous probabilities, ``float32`` (default) or ``float16``.
            Half precision halves their memory, with a relative error of the score of about 3e-4.
        rows_folder: An existing folder; the previous probabilities are stored there in a memory-mapped temporary
            file, which is deleted when the process ends, instead of in main memory (default: None).

    Shapes:
        state ``[n, J-1]`` float32 and one row ``[n, C]``; values ``[n]`` float32, 0 with fewer than J visits.

    Raises:
        InputError: no classes; fewer than ``T`` epochs; ``T < J``; arguments out of range.

    Cost: O(B (C + J)) time per batch, O(N (C + J)) memory, O(N J) with ``rows_folder``.

    Reference: Zhang et al., CVPR 2024, arXiv 2311.13613.

    >>> import numpy as np
    >>> from graphprune.scores.trajectories import scores_from_trajectories
    >>> p = np.array([[0.2, 0.9], [0.8, 0.9], [0.4, 0.9], [0.6, 0.9]])  # of class 0, [epochs, samples]
    >>> probs = np.stack([p, 1 - p], axis=2)
    >>> scores_from_trajectories(TDDS(T=4, window=3), labels=[0, 0], probs=probs).round(3)
    array([0.367, 0.   ], dtype=float32)
    """

    phase = "train"
    needs = frozenset({"log_probs"})
    _state = (*WindowScore._state, "previous")

    def __init__(
        self,
        *,
        T: Epochs = 10,
        window: Annotated[int, Field(ge=3, le=1_000_000)] = 10,
        decay: Keep = 0.9,
        row_dtype: Literal["float32", "float16"] = "float32",
        rows_folder: str | None = None,
    ) -> None:
        self.T, self.window, self.decay = T, window, decay
        self.row_dtype, self.rows_folder = row_dtype, rows_folder

    def check(self, job: JobFacts) -> None:
        if self.rows_folder is not None and not Path(self.rows_folder).is_dir():
            raise InputError(f"rows_folder {self.rows_folder} is not a folder; create it first")
        super().check(job)

    def _allocate(self, epochs: int, num_classes: int | None) -> None:
        assert num_classes is not None
        # A window of two visits has one divergence, which cannot deviate from its own mean.
        self._last = first_epochs("TDDS", self.T, epochs, self.window)
        self._allocate_ring(self.window - 1)
        dtype = torch.float16 if self.row_dtype == "float16" else torch.float32
        self._rows = row_store(self.n + 1, num_classes, dtype, self.device, self.rows_folder)
        self.previous = self._rows.tensor

    def update(self, rows: Tensor, signals: Signals, epoch: int) -> None:
        if epoch >= self._last:
            return
        probs = required(signals.log_probs).exp()
        change = (probs + _EPSILON).log_() - (self._rows.read(rows) + _EPSILON).log_()
        divergence = (probs * change).abs_().sum(dim=1)
        self._rows.write(rows, probs)
        visits = self.visits[rows]
        # The first visit has no predecessor: its value is overwritten before a window is complete.
        self._push(rows, (visits - 1) % (self.window - 1), divergence)
        ring, visits = self._window(rows)
        deviation = ring.std(dim=1, correction=0) * (self.window - 1) ** 0.5
        total = self.total[rows]
        newest = (1 - self.decay) * total + self.decay * deviation
        self.total[rows] = torch.where(visits >= self.window, newest, total)

    def values(self) -> Tensor:
        return self._finish(self.total)
