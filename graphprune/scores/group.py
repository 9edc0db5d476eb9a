"""Several recorders of one run, each with its own samples."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphprune.scores.base import Phase
from graphprune.scores.recorder import Recorder


class RecorderGroup:
    """Passes every batch to all its recorders; recorders with ``others="ignore"`` skip the samples of the others.

    Args:
        recorders: One or more recorders.

    Cost: the sum over the recorders; an evaluation pass covers the samples of all recorders that are due.
    """

    def __init__(self, *recorders: Recorder) -> None:
        self.recorders = recorders

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The passes that at least one recorder needs."""
        phases: tuple[Phase, ...] = ("train", "eval")
        return tuple(p for p in phases if any(p in r.phases for r in self.recorders))

    def needs(self, phase: Phase) -> frozenset[str]:
        """The signals that at least one recorder reads."""
        return frozenset[str]().union(*(r.needs(phase) for r in self.recorders))

    def evaluates(self, epoch: int) -> bool:
        """Whether at least one recorder needs an evaluation pass after this epoch."""
        return any(r.evaluates(epoch) for r in self.recorders)

    def evaluation_ids(self, epoch: int) -> Tensor:
        """Ids ``[M]``, ascending, that the pass after this epoch covers."""
        due = torch.cat([r.ids for r in self.recorders if r.evaluates(epoch)])
        ids: Tensor = torch.unique(due)
        return ids

    def observe(self, phase: Phase, ids: Tensor, epoch: int, **signals: Tensor | None) -> None:
        """Same as `Recorder.observe`."""
        for recorder in self.recorders:
            if phase == "train" or recorder.evaluates(epoch):
                recorder.observe(phase, ids, epoch, **signals)

    def state_dict(self) -> dict[str, Any]:
        """Returns the states of the recorders by position."""
        return {str(i): recorder.state_dict() for i, recorder in enumerate(self.recorders)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the state of recorders created in the same way."""
        for i, recorder in enumerate(self.recorders):
            recorder.load_state_dict(state[str(i)])


# The objects that a training loop reports its batches to.
Observer = Recorder | RecorderGroup
