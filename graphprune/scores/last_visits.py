"""Signals of the last few visits of every sample."""

from __future__ import annotations

import torch
from torch import Tensor

from graphprune.scores.base import Phase, Score, Signals, required
from graphprune.scores.entropy import entropy_of


class LastVisits(Score):
    """Keeps true-label probability and entropy (in nats) of the last ``visits`` visits. It is not registered.

    Args:
        visits: Number of visits kept (default: 3).
        phase: ``train`` or ``eval`` (default).

    Shapes: ``p_true``, ``entropy`` ``[n + 1, visits]`` float32, oldest first, NaN if there were fewer visits.

    Cost: O(B (C + visits)) time per batch, 8 bytes per sample and visit.

    >>> score = LastVisits(visits=2)
    >>> score.start(1, epochs=2, num_classes=2)
    >>> for epoch, p in enumerate((0.5, 0.75)):
    ...     probs = torch.tensor([[p, 1 - p]])
    ...     score.update(torch.tensor([0]), Signals(p_true=probs[:, 0], log_probs=probs.log()), epoch)
    >>> score.looks()[0].tolist()
    [[0.5], [0.75]]
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
        """Returns ``p_true`` and ``entropy`` by visit, ``[visits, n]`` float32 on the CPU."""
        return self.p_true[: self.n].T.cpu().contiguous(), self.entropy[: self.n].T.cpu().contiguous()

    def values(self) -> Tensor:
        """Returns the last true-label probability ``[n]``, 0 without a visit."""
        return self._finish(self.p_true[:, -1].nan_to_num(0.0))
