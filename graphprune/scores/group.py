"""Several recorders that watch one run, each its own samples."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphprune.scores.base import Phase
from graphprune.scores.recorder import Recorder


class RecorderGroup:
    """Hands everything to all its recorders; those that ignore other ids take only their own samples.

    Args:
        recorders: At least one.

    Cost: the sum of theirs; an evaluation pass covers the samples of all that are due.
    """

    def __init__(self, *recorders: Recorder) -> None:
        self.recorders = recorders

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Which passes any of them needs."""
        phases: tuple[Phase, ...] = ("train", "eval")
        return tuple(p for p in phases if any(p in r.phases for r in self.recorders))

    def needs(self, phase: Phase) -> frozenset[str]:
        """Which signals any of them reads."""
        return frozenset[str]().union(*(r.needs(phase) for r in self.recorders))

    def evaluates(self, epoch: int) -> bool:
        """Whether any of them waits for an evaluation pass after this whole epoch."""
        return any(r.evaluates(epoch) for r in self.recorders)

    def evaluation_ids(self, epoch: int) -> Tensor:
        """Ids ``[M]`` ascending that the pass after this epoch covers."""
        due = torch.cat([r.ids for r in self.recorders if r.evaluates(epoch)])
        ids: Tensor = torch.unique(due)
        return ids

    def observe(self, phase: Phase, ids: Tensor, epoch: int, **signals: Tensor | None) -> None:
        """As `Recorder.observe`."""
        for recorder in self.recorders:
            if phase == "train" or recorder.evaluates(epoch):
                recorder.observe(phase, ids, epoch, **signals)

    def state_dict(self) -> dict[str, Any]:
        """The recorders' states by position."""
        return {str(i): recorder.state_dict() for i, recorder in enumerate(self.recorders)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues with recorders made as before."""
        for i, recorder in enumerate(self.recorders):
            recorder.load_state_dict(state[str(i)])


# What a training loop tells of its batches.
Observer = Recorder | RecorderGroup
