"""What a score is: a streaming reduction of training dynamics to one number per sample."""

from __future__ import annotations

import copy
import inspect
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from graphprune.errors import InputError
from graphprune.runtime.facts import JobFacts

Phase = Literal["train", "eval"]

_OF_CLASSES = frozenset({"logits", "log_probs", "p_true"})


@dataclass(frozen=True)
class Signals:
    """What one batch shows to the scores; fields that no attached score needs are None.

    Shapes (B samples, C classes, T steps, S sensors, H features), all float32 unless said:
        ``logits [B, C]``, ``targets [B]`` int64, ``log_probs [B, C]`` (log-softmax of the logits),
        ``p_true [B]`` (probability of the true label), ``loss [B]``, ``features [B, H]`` (penultimate layer),
        ``errors [B, T, S]`` (absolute forecast error in standardised units, NaN where missing).
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    targets: Tensor | None = None
    log_probs: Tensor | None = None
    p_true: Tensor | None = None
    features: Tensor | None = None
    errors: Tensor | None = None


class Score(ABC):
    """A score of N samples, fed batch by batch and epoch by epoch. A larger value always means "keep".

    A sample's trajectory is the sequence of its own visits: an epoch in which a dynamic sampler skips
    it adds nothing, visits may come in any order within an epoch, and of several visits in one epoch the
    first counts. ``skip`` and ``T`` of a score count epochs of the run, not visits.

    Subclasses set ``needs`` (fields of `Signals`; in ``_allocate`` where it depends on the data), ``phase``
    (``train``: recorded online in the training forward pass; ``eval``: on an un-augmented evaluation pass
    after each epoch) and implement ``_allocate``, ``update`` and ``values``. All state is tensors named in
    ``_state``, so that ``state_dict`` needs no code of its own.

    State has ``n + 1`` rows (`_full` makes them): the recorder sends what must not count, such as second
    visits, to the spare row ``n``, because filtering a batch would wait for the device. A state row is
    therefore read, changed and assigned, never accumulated in place, and ``values`` leaves the spare out.
    """

    needs: frozenset[str]
    phase: ClassVar[Phase] = "eval"
    _state: ClassVar[tuple[str, ...]] = ()

    n: int
    device: torch.device

    def start(
        self, n: int, *, epochs: int, num_classes: int | None, device: torch.device | str = "cpu"
    ) -> None:
        """Allocates state for ``n`` samples; `InputError` when epochs or classes are too few."""
        self.n, self.device = n, torch.device(device)
        if self.needs & _OF_CLASSES and (num_classes is None or num_classes < 2):
            raise InputError(
                f"{type(self).__name__} reads class probabilities and the data has {num_classes or 'no'} "
                "classes; take a score of losses or errors, such as dynamic_uncertainty or st_complexity"
            )
        self._allocate(epochs, num_classes)

    def check(self, job: JobFacts) -> None:
        """Refuses a run that is too short for the score, or data that it cannot read, before anything is trained."""
        copy.copy(self).start(1, epochs=int(job.epochs or 1), num_classes=job.num_classes)

    @abstractmethod
    def _allocate(self, epochs: int, num_classes: int | None) -> None:
        """Refuses runs that do not fit the arguments, and makes all tensors named in ``_state``."""

    @abstractmethod
    def update(self, rows: Tensor, signals: Signals, epoch: int) -> None:
        """Takes one batch: ``rows [B]`` int64 in 0..n, unique but for the spare row ``n``, signals, epoch."""

    @abstractmethod
    def values(self) -> Tensor:
        """The scores ``[n]`` float32 on the CPU; too few visits give the score of no dynamics."""

    def state_dict(self) -> dict[str, Any]:
        """Tensors that continue the recording in another process; references, as in torch."""
        return {name: getattr(self, name) for name in self._state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from `state_dict`; call after `start`."""
        for name in self._state:
            mine = getattr(self, name)
            if name not in state or state[name].shape != mine.shape:
                given = tuple(state[name].shape) if name in state else "absent"
                raise InputError(
                    f"{type(self).__name__}: saved '{name}' is {given} but this recording has "
                    f"{tuple(mine.shape)}; resume with the same data and score arguments"
                )
            mine.copy_(state[name])

    def get_params(self) -> dict[str, Any]:
        """The arguments this score was made with."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_params().items())})"

    def _full(self, *shape: int, fill: float = 0, dtype: torch.dtype = torch.float32) -> Tensor:
        """One state row ``[*shape]`` for each sample and for the spare row."""
        return torch.full((self.n + 1, *shape), fill, dtype=dtype, device=self.device)

    def _finish(self, values: Tensor) -> Tensor:
        """Drops the spare row."""
        return values[: self.n].to("cpu", torch.float32, copy=True)


def required(signal: Tensor | None) -> Tensor:
    """A signal that the recorder has promised because the score needs it."""
    assert signal is not None
    return signal
