"""Forgetting: how often a sample is unlearned."""

from __future__ import annotations

import torch
from torch import Tensor

from graphprune.registry import register
from graphprune.scores.base import Score, Signals, required


@register("score", "forgetting", source="Toneva et al., ICLR 2019, arXiv 1812.05159", status="confirmed")
class Forgetting(Score):
    r"""Forgetting: score samples by how often their prediction changes from right to wrong.

    .. math:: S_i = \sum_k [\mathrm{correct}_k(i) \wedge \neg\, \mathrm{correct}_{k+1}(i)]

    A sample that was visited but never right gets the number of epochs, which no number of events can reach.

    Shapes:
        state ``[n]`` int32 -> values ``[n]`` float32, whole numbers; 0 for samples never visited.

    Raises:
        InputError: no classes.

    Cost: O(B C) time per batch, O(N) memory.

    Reference: Toneva et al., ICLR 2019, arXiv 1812.05159, recorded online during training.

    >>> import numpy as np
    >>> from graphprune.scores.trajectories import scores_from_trajectories
    >>> p = np.array([[0.2, 0.9], [0.8, 0.9], [0.4, 0.9], [0.6, 0.9]])  # of class 0, [epochs, samples]
    >>> probs = np.stack([p, 1 - p], axis=2)
    >>> scores_from_trajectories(Forgetting(), labels=[0, 0], probs=probs).round(3)
    array([1., 0.], dtype=float32)
    """

    phase = "train"
    needs = frozenset({"log_probs", "targets"})
    _state = ("events", "was_correct", "ever_correct", "seen")

    events: Tensor
    was_correct: Tensor
    ever_correct: Tensor
    seen: Tensor

    def _allocate(self, epochs: int, num_classes: int | None) -> None:
        self._maximum = epochs
        self.events = self._full(dtype=torch.int32)
        self.was_correct = self._full(dtype=torch.bool)
        self.ever_correct = self._full(dtype=torch.bool)
        self.seen = self._full(dtype=torch.bool)

    def update(self, rows: Tensor, signals: Signals, epoch: int) -> None:
        correct = required(signals.log_probs).argmax(dim=1) == required(signals.targets)
        self.events[rows] = self.events[rows] + (self.was_correct[rows] & ~correct)
        self.was_correct[rows] = correct
        self.ever_correct[rows] = self.ever_correct[rows] | correct
        self.seen[rows] = True

    def values(self) -> Tensor:
        return self._finish(torch.where(self.seen & ~self.ever_correct, self._maximum, self.events))
