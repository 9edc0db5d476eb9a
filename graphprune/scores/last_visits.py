"""The last few looks at every sample."""

from __future__ import annotations

import torch
from torch import Tensor

from graphprune.scores.base import Phase, Score, Signals, required
from graphprune.scores.entropy import entropy_of


class LastVisits(Score):
    """True-label probability and entropy (nats) of the last ``visits`` visits; not registered.

    Args:
        visits: Looks kept.
        phase: ``train`` or ``eval`` (default).

    Shapes: ``p_true``, ``entropy`` ``[n + 1, visits]`` float32, oldest first, NaN where there were fewer.

    Cost: O(B (C + visits)) time per batch, 8 bytes per sample and visit.
    """

    _state = ("p_true", "entropy")
    needs = frozenset({"p_true", "log_probs"})

    p_true: Tensor
    entropy: Tensor

    def __init__(self, *, visits: int = 3, phase: Phase = "eval") -> None:
        self.visits = visits
        self.phase = phase  # type: ignore[misc]

    def _allocate(self, epochs: int, num_classes: int | None) -> None:
        self.p_true = self._full(self.visits, fill=float("nan"))
        self.entropy = self._full(self.visits, fill=float("nan"))

    def update(self, rows: Tensor, signals: Signals, epoch: int) -> None:
        log_probs = required(signals.log_probs)
        entropy = entropy_of(log_probs)
        for state, newest in ((self.p_true, required(signals.p_true)), (self.entropy, entropy)):
            state[rows] = torch.cat([state[rows][:, 1:], newest[:, None]], dim=1)

    def looks(self) -> tuple[Tensor, Tensor]:
        """``p_true`` and ``entropy`` by look ``[visits, n]`` float32 on the CPU."""
        return self.p_true[: self.n].T.cpu().contiguous(), self.entropy[: self.n].T.cpu().contiguous()

    def values(self) -> Tensor:
        """The last true-label probability ``[n]``, 0 without a visit."""
        return self._finish(self.p_true[:, -1].nan_to_num(0.0))
