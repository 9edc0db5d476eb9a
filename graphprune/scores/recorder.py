"""The recorder: hands each batch of a training run to all attached scores, computing shared signals once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from graphprune.errors import InputError
from graphprune.scores.base import Phase, Score, Signals


class Recorder:
    """Streams training dynamics into scores; holds O(N x window) and never a sample's whole history.

    Args:
        scores: Scores by name.
        ids: Ids of the recorded samples ``[M]`` int64, ascending. Other ids are an error.
        epochs: Epochs of the run (windows are checked against it before it starts).
        num_classes: Classes, or None for forecasts.
        device: Where the state lives; the batches' device avoids copies.

    >>> import torch
    >>> from graphprune.registry import create
    >>> recorder = Recorder({"loss": create("score", "loss")}, torch.tensor([4, 7]), epochs=1)
    >>> recorder.observe("eval", torch.tensor([7, 4]), 0, loss=torch.tensor([1.0, 2.0]))
    >>> recorder.values()["loss"].tolist()
    [2.0, 1.0]
    """

    def __init__(
        self,
        scores: Mapping[str, Score],
        ids: Tensor,
        *,
        epochs: int,
        num_classes: int | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.scores = dict(scores)
        self.ids = ids.to(device=device, dtype=torch.int64)
        self._rows_are_ids = bool((self.ids == torch.arange(len(ids), device=self.ids.device)).all())
        self._last_visit = {
            phase: torch.full((len(ids),), -1, dtype=torch.int32, device=self.ids.device)
            for phase in self.phases
        }
        for score in self.scores.values():
            score.start(len(ids), epochs=epochs, num_classes=num_classes, device=device)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """Which passes the attached scores need, of ``train`` and ``eval``."""
        return tuple(p for p in ("train", "eval") if any(s.phase == p for s in self.scores.values()))

    def needs(self, phase: Phase) -> frozenset[str]:
        """Which `Signals` the scores of a phase read."""
        return frozenset().union(*(s.needs for s in self.scores.values() if s.phase == phase))

    def observe(
        self,
        phase: Phase,
        ids: Tensor,
        epoch: int,
        *,
        logits: Tensor | None = None,
        targets: Tensor | None = None,
        loss: Tensor | None = None,
        features: Tensor | None = None,
        errors: Tensor | None = None,
    ) -> None:
        """Records one batch. Shapes as in `Signals`; no host synchronisation, no loop over samples."""
        if phase not in self.phases:
            return
        with torch.no_grad():
            rows = self._rows(ids)
            # A sample counts once an epoch: first visits scatter their own position, others lose.
            fresh = self._first_visits(phase, rows, epoch)
            signals = self._signals(phase, logits, targets, loss, features, errors)
            if fresh is not None:
                rows = rows[fresh]
                signals = Signals(**{k: v[fresh] for k, v in vars(signals).items() if v is not None})
            for score in self.scores.values():
                if score.phase == phase:
                    score.update(rows, signals, epoch)

    def values(self) -> dict[str, Tensor]:
        """Scores ``[M]`` float32 by name, in the order of ``ids``."""
        return {name: score.values() for name, score in self.scores.items()}

    def state_dict(self) -> dict[str, Any]:
        """State of all scores; survives a resume."""
        return {
            "last_visit": self._last_visit,
            "scores": {name: score.state_dict() for name, score in self.scores.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues a recording with the same scores and ids."""
        for phase, visits in self._last_visit.items():
            visits.copy_(state["last_visit"][phase])
        for name, score in self.scores.items():
            score.load_state_dict(state["scores"][name])
