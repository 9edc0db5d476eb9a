"""A recorder that keeps the scores after selected epochs of a run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from graphprune.errors import InputError
from graphprune.scores.base import Phase, Score
from graphprune.scores.recorder import Recorder


class SnapshotRecorder(Recorder):
    """Records like `Recorder`, and keeps the values of all scores after e epochs in ``snapshots[e]``.

    Args:
        at: Numbers of epochs; the last one is the length of the run.
    """

    def __init__(
        self,
        scores: Mapping[str, Score],
        ids: Tensor,
        *,
        at: Sequence[int],
        epochs: int,
        num_classes: int | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(scores, ids, epochs=epochs, num_classes=num_classes, device=device)
        self.at = tuple(at)
        self._kept: dict[int, dict[str, Tensor]] = {}
        self._under_way = 0

    @property
    def snapshots(self) -> dict[int, dict[str, Tensor]]:
        """Scores ``[M]`` float32 by number of epochs and name; read it when the run has ended."""
        return {**self._kept, self.at[-1]: self.values()}

    def observe(self, phase: Phase, ids: Tensor, epoch: int, **signals: Tensor | None) -> None:
        """Same as `Recorder.observe`; the first batch of an epoch stores the scores of the epochs before it."""
        if epoch > self._under_way:
            self._under_way = epoch
            if epoch in self.at:
                self._kept[epoch] = self.values()
        super().observe(phase, ids, epoch, **signals)

    def state_dict(self) -> dict[str, Any]:
        """Same as `Recorder.state_dict`, with the stored scores."""
        kept = {str(epoch): values for epoch, values in self._kept.items()}
        return {**super().state_dict(), "kept": kept, "under_way": self._under_way}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the state of a recording with the same scores, ids and lengths."""
        expected = {name: values.shape for name, values in self.values().items()}
        for epoch, values in state["kept"].items():
            if int(epoch) not in self.at or {name: value.shape for name, value in values.items()} != expected:
                raise InputError(
                    f"recorder: the scores stored after epoch {epoch} do not match this recording; "
                    "resume with the same scores"
                )
        super().load_state_dict(state)
        self._kept = {int(epoch): dict(values) for epoch, values in state["kept"].items()}
        self._under_way = state["under_way"]
