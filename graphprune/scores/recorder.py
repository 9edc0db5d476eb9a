"""The recorder: hands each batch of a training run to all attached scores, computing shared signals once."""

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
    """Streams training dynamics into scores; holds O(N x window) and never a sample's whole history.

    Within an epoch batches may come in any order; a sample that is skipped adds nothing to its trajectory;
    of several visits in one epoch and phase the first counts. Nothing waits for the device during a step:
    ids that are not recorded and targets that are no classes are noted there and reported at the next epoch's first
    batch, or by ``values`` or ``state_dict`` (on the CPU at once).

    Args:
        scores: Scores by name.
        ids: Ids of the recorded samples ``[M]`` int64, ascending. Other ids are an error.
        epochs: Epochs of the run (windows are checked against it before it starts).
        num_classes: Classes, or None for forecasts.
        device: Where the state lives; the batches' device avoids copies.
        eval_epochs: After which epochs (from 0) evaluation passes stand (default: all).
        others: Whether ids that are not recorded are an error (``refuse``, default) or left out (``ignore``).

    Cost: O(B C) time per batch of B samples beside the scores' own; 12 bytes per sample and phase.

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
            raise InputError(
                "recorder: ids must be ascending, without repetition and at least one; sort them"
            )
        # Copies to a device need nobody to wait; one to the CPU would be read before it has arrived.
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
        """Which passes the attached scores need, of ``train`` and ``eval``."""
        phases: tuple[Phase, ...] = ("train", "eval")
        return tuple(p for p in phases if any(s.phase == p for s in self.scores.values()))

    def evaluates(self, epoch: int) -> bool:
        """Whether a score waits for an evaluation pass after this whole epoch."""
        due = self.eval_epochs is None or epoch in self.eval_epochs
        return due and "eval" in self.phases

    def evaluation_ids(self, epoch: int) -> Tensor:
        """Ids ``[M]`` ascending that the pass after this epoch covers."""
        return self.ids

    def needs(self, phase: Phase) -> frozenset[str]:
        """Which `Signals` the scores of a phase read."""
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
            phase: The pass this batch comes from; without a score of that phase nothing happens.
            ids: ``[B]`` int64.
            epoch: From 0.
            logits, targets, loss, features, errors: As in `Signals`, any floating dtype; a loss that is
                needed but not given is the cross-entropy of logits and targets.

        Raises:
            InputError: a signal that a score needs is missing or of another length; an id is not recorded.
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
        """Scores ``[M]`` float32 by name, in the order of ``ids``."""
        self._refuse_foreign()
        return {name: score.values() for name, score in self.scores.items()}

    def state_dict(self) -> dict[str, Any]:
        """State of all scores; survives a resume. References, as in torch: save it before recording on."""
        self._refuse_foreign()
        return {
            "last_visit": dict(self._last_visit),
            "scores": {name: score.state_dict() for name, score in self.scores.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues a recording with the same scores and ids."""
        if set(state["scores"]) != set(self.scores):
            raise InputError(
                f"recorder: saved are the scores {sorted(state['scores'])} but attached "
                f"{sorted(self.scores)}; resume with the same scores"
            )
        for phase, visits in self._last_visit.items():
            visits.copy_(state["last_visit"][phase])
        for name, score in self.scores.items():
            score.load_state_dict(state["scores"][name])

    def _integers(self, fill: int) -> Tensor:
        return torch.full((self.n + 1,), fill, dtype=torch.int32, device=self.ids.device)

    def _rows(self, ids: Tensor) -> Tensor:
        """Rows ``[B]`` of ids ``[B]``; foreign ids are noted on the device and go to the spare row."""
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
        """``targets`` within the classes; others are noted, since indexing by them would end a process on CUDA."""
        if not self._on_device and int(targets.min()) >= 0 and int(targets.max()) < classes:
            return targets
        within = targets.clamp(0, classes - 1)
        self._strange = self._strange + (within != targets).sum()
        self._refuse_at_once()
        return within

    def _refuse_at_once(self) -> None:
        # Where looking at a result waits for nothing.
        if not self._on_device:
            self._refuse_foreign()

    def _refuse_foreign(self) -> None:
        if strange := int(self._strange):
            self._strange = torch.zeros_like(self._strange)
            raise InputError(
                f"recorder: {strange} observed targets lie outside 0..{(self._num_classes or 0) - 1}; number the "
                "classes from 0 on, and leave out samples without a class"
            )
        count, lowest = self._foreign.tolist()
        if count:
            self._foreign = self._no_foreign()
            raise InputError(
                f"recorder: {count} observed ids are not among the {self.n} recorded samples, the lowest is "
                f"{lowest}; observe only ids that the recorder was made for"
            )

    def _no_foreign(self) -> Tensor:
        return torch.tensor([0, _NONE], device=self.ids.device)

    def _first_visits(self, phase: Phase, rows: Tensor, epoch: int) -> Tensor:
        """``rows`` with every visit but a sample's first in this epoch sent to the spare row."""
        order = torch.arange(len(rows), dtype=torch.int32, device=rows.device)
        # Of equal rows in the batch the earliest position wins; only the batch's own rows are touched.
        self._position[rows] = len(rows)
        self._position.scatter_reduce_(0, rows, order, "amin")
        first = (self._position[rows] == order) & (self._last_visit[phase][rows] != epoch)
        self._last_visit[phase][rows] = epoch
        return torch.where(first, rows, self.n)

    def _signals(self, phase: Phase, size: int, given: Mapping[str, Tensor | None]) -> Signals:
        """The signals that this phase's scores need, float32 on the recorder's device."""
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
                    f"recorder: observe got {got} for {name}= beside {size} ids; {readers} need one each"
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
