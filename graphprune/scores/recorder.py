"""The recorder: passes each batch of a training run to all attached scores and computes shared signals once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from graphprune.errors import InputError
from graphprune.scores.base import Phase, Score, Signals

_NONE = torch.iinfo(torch.int64).max
_DERIVED = {"log_probs": ("logits",), "p_true": ("logits", "targets"), "loss": ("logits", "targets")}


class Recorder:
    """Recorder: stream training dynamics into scores, with O(N x window) memory instead of whole histories.

    Batches of an epoch may arrive in any order. A skipped sample adds nothing to its trajectory, and of several visits
    in one epoch and phase, only the first counts. No step waits for the device: unknown ids and targets outside the
    classes are counted on the device and reported at the first batch of the next epoch, or by ``values`` or
    ``state_dict`` (on the CPU, immediately).

    Args:
        scores: Scores by name.
        ids: Ids of the recorded samples ``[M]`` int64, ascending; see ``others``.
        epochs: Epochs of the run; the windows of scores are checked against it.
        num_classes: Number of classes, or None for forecasts.
        device: Device of the state; use the device of the batches to avoid copies.
        eval_epochs: Epochs (from 0) that are followed by an evaluation pass (default: all).
        others: Whether ids outside ``ids`` are an error (``refuse``, default) or skipped (``ignore``).

    Cost: O(B C) time per batch of B samples plus the cost of the scores; 12 bytes per sample and phase.

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
        eval_epochs: Collection[int] | None = None,
        others: Literal["refuse", "ignore"] = "refuse",
    ) -> None:
        self.scores = dict(scores)
        self.epochs, self.eval_epochs, self.others = epochs, eval_epochs, others
        self.ids = ids.to(device=device, dtype=torch.int64)
        self.n = len(ids)
        if not self.n or bool((self.ids[1:] <= self.ids[:-1]).any()):
            raise InputError("recorder: ids must be ascending, without duplicates, and not empty; sort them")
        # Copies to a device can be asynchronous; a copy to the CPU would be read before it is complete.
        self._on_device = self.ids.device.type != "cpu"
        self._rows_are_ids = bool(self.ids[0] == 0) and bool(self.ids[-1] == self.n - 1)
        self._last_visit = {phase: self._integers(-1) for phase in self.phases}
        self._position = self._integers(0)
        self._foreign = self._no_foreign()
        self._num_classes = num_classes
        self._strange = torch.zeros((), dtype=torch.int64, device=self.ids.device)
        self._epoch = -1
        for score in self.scores.values():
            score.start(self.n, epochs=epochs, num_classes=num_classes, device=device)

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The passes that the attached scores need: ``train``, ``eval`` or both."""
        phases: tuple[Phase, ...] = ("train", "eval")
        return tuple(p for p in phases if any(s.phase == p for s in self.scores.values()))

    def evaluates(self, epoch: int) -> bool:
        """Whether a score needs an evaluation pass after this epoch."""
        due = self.eval_epochs is None or epoch in self.eval_epochs
        return due and "eval" in self.phases

    def evaluation_ids(self, epoch: int) -> Tensor:
        """Ids ``[M]``, ascending, that the pass after this epoch covers."""
        return self.ids

    def needs(self, phase: Phase) -> frozenset[str]:
        """Names of the `Signals` that the scores of a phase read."""
        empty: frozenset[str] = frozenset()
        return empty.union(*(s.needs for s in self.scores.values() if s.phase == phase))

    @torch.no_grad()
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
        """Records one batch.

        Args:
            phase: The pass that this batch belongs to; without a score of that phase the call does nothing.
            ids: ``[B]`` int64.
            epoch: Epoch, counted from 0.
            logits, targets, loss, features, errors: As in `Signals`, of any floating dtype. If a loss is needed
                but not given, it is the cross-entropy of logits and targets.

        Raises:
            InputError: a signal that a score needs is missing or has another length, or an id is unknown.
        """
        if phase not in self.phases or not len(ids):
            return
        if epoch != self._epoch:
            self._refuse_foreign()
            self._epoch = epoch
        given = {"logits": logits, "targets": targets, "loss": loss, "features": features, "errors": errors}
        signals = self._signals(phase, len(ids), given)
        rows = self._first_visits(phase, self._rows(ids), epoch)
        for score in self.scores.values():
            if score.phase == phase:
                score.update(rows, signals, epoch)

    def values(self) -> dict[str, Tensor]:
        """Returns scores ``[M]`` float32 by name, in the order of ``ids``."""
        self._refuse_foreign()
        return {name: score.values() for name, score in self.scores.items()}

    def state_dict(self) -> dict[str, Any]:
        """Returns the state of all scores as references, like torch; save it before the next batch."""
        self._refuse_foreign()
        return {
            "last_visit": dict(self._last_visit),
            "scores": {name: score.state_dict() for name, score in self.scores.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the state of a recording with the same scores and ids."""
        if set(state["scores"]) != set(self.scores):
            raise InputError(
                f"recorder: the saved scores are {sorted(state['scores'])} but the attached scores are "
                f"{sorted(self.scores)}; resume with the same scores"
            )
        for phase, visits in self._last_visit.items():
            visits.copy_(state["last_visit"][phase])
        for name, score in self.scores.items():
            score.load_state_dict(state["scores"][name])

    def _integers(self, fill: int) -> Tensor:
        return torch.full((self.n + 1,), fill, dtype=torch.int32, device=self.ids.device)

    def _rows(self, ids: Tensor) -> Tensor:
        """Maps ids ``[B]`` to rows ``[B]``; unknown ids are counted on the device and mapped to the spare row."""
        ids = ids.to(device=self.ids.device, dtype=torch.int64, non_blocking=self._on_device)
        if self._rows_are_ids:
            rows, known = ids, (ids >= 0) & (ids < self.n)
        else:
            rows = torch.searchsorted(self.ids, ids).clamp_(max=self.n - 1)
            known = self.ids[rows] == ids
        if not self._on_device and bool(known.all()):
            return rows
        if self.others == "refuse":
            lowest = torch.where(known, _NONE, ids).amin()
            self._foreign = torch.stack([self._foreign[0] + (~known).sum(), self._foreign[1].minimum(lowest)])
            self._refuse_at_once()
        return torch.where(known, rows, self.n)

    def _known_classes(self, targets: Tensor, classes: int) -> Tensor:
        """Clamps ``targets`` to the classes and counts the others; indexing by them would abort the process on CUDA."""
        if not self._on_device and int(targets.min()) >= 0 and int(targets.max()) < classes:
            return targets
        within = targets.clamp(0, classes - 1)
        self._strange = self._strange + (within != targets).sum()
        self._refuse_at_once()
        return within

    def _refuse_at_once(self) -> None:
        # On the CPU, reading a result does not wait.
        if not self._on_device:
            self._refuse_foreign()

    def _refuse_foreign(self) -> None:
        if strange := int(self._strange):
            self._strange = torch.zeros_like(self._strange)
            raise InputError(
                f"recorder: {strange} observed targets lie outside 0..{(self._num_classes or 0) - 1}; number the "
                "classes from 0 and omit samples without a class"
            )
        count, lowest = self._foreign.tolist()
        if count:
            self._foreign = self._no_foreign()
            raise InputError(
                f"recorder: {count} observed ids are not among the {self.n} recorded samples, the lowest is "
                f"{lowest}; observe only ids that were passed to the recorder"
            )

    def _no_foreign(self) -> Tensor:
        return torch.tensor([0, _NONE], device=self.ids.device)

    def _first_visits(self, phase: Phase, rows: Tensor, epoch: int) -> Tensor:
        """Replaces every row that is not the sample's first visit in this epoch by the spare row."""
        order = torch.arange(len(rows), dtype=torch.int32, device=rows.device)
        # For equal rows in the batch, the earliest position wins; only rows of the batch are changed.
        self._position[rows] = len(rows)
        self._position.scatter_reduce_(0, rows, order, "amin")
        first = (self._position[rows] == order) & (self._last_visit[phase][rows] != epoch)
        self._last_visit[phase][rows] = epoch
        return torch.where(first, rows, self.n)

    def _signals(self, phase: Phase, size: int, given: Mapping[str, Tensor | None]) -> Signals:
        """Computes the signals that the scores of this phase need, float32 on the recorder's device."""
        needs = self.needs(phase)
        derived = {name for name in needs & _DERIVED.keys() if given.get(name) is None}
        wanted = (needs - derived).union(*(_DERIVED[name] for name in derived))
        signals: dict[str, Tensor] = {}
        for name in sorted(wanted):
            value = given.get(name)
            if value is None or len(value) != size:
                got = "nothing" if value is None else f"{len(value)} values"
                readers = ", ".join(
                    n
                    for n, s in self.scores.items()
                    if s.phase == phase
                    and (name in s.needs or any(name in _DERIVED.get(d, ()) for d in s.needs))
                )
                raise InputError(
                    f"recorder: observe received {got} for {name}= with {size} ids; {readers} need one value per id"
                )
            if name == "targets" and value.is_floating_point():
                raise InputError(f"recorder: targets are {value.dtype}; give class numbers as integers")
            dtype = torch.int64 if name == "targets" else torch.float32
            signals[name] = value.to(self.ids.device, dtype, non_blocking=self._on_device)
        if "targets" in signals and self._num_classes is not None:
            signals["targets"] = self._known_classes(signals["targets"], self._num_classes)
        if derived:
            signals["log_probs"] = torch.log_softmax(signals["logits"], dim=1)
        if derived & {"p_true", "loss"}:
            log_p = signals["log_probs"].gather(1, signals["targets"][:, None])[:, 0]
            signals.setdefault("loss", -log_p)
            signals["p_true"] = log_p.exp()
        return Signals(**signals)
