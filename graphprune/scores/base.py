"""Base class of scores: a streaming reduction of training dynamics to one number per sample."""

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
    """Signals of one batch that scores read; fields that no attached score needs are None.

    Shapes (B samples, C classes, T steps, S sensors, H features), all float32 unless stated otherwise:
        ``logits [B, C]``, ``targets [B]`` int64, ``log_probs [B, C]`` (log-softmax of the logits),
        ``p_true [B]`` (probability of the true label), ``loss [B]``, ``features [B, H]`` (penultimate layer),
        ``errors [B, T, S]`` (absolute forecast error in standardized units, NaN if missing).
    """

    loss: Tensor | None = None
    logits: Tensor | None = None
    targets: Tensor | None = None
    log_probs: Tensor | None = None
    p_true: Tensor | None = None
    features: Tensor | None = None
    errors: Tensor | None = None


class Score(ABC):
    """Base class of scores of N samples, updated batch by batch and epoch by epoch. Larger values are kept.

    A sample's trajectory is the sequence of its own visits. An epoch in which a dynamic sampler skips the sample adds
    nothing; visits may occur in any order within an epoch; of several visits in one epoch, only the first counts.
    ``skip`` and ``T`` of a score count epochs of the run, not visits.

    Subclasses set ``needs`` (fields of `Signals`; set in ``_allocate`` if it depends on the data) and ``phase``
    (``train``: recorded online in the training forward pass; ``eval``: recorded in an evaluation pass without
    augmentation after each epoch), and implement ``_allocate``, ``update`` and ``values``. All state consists of
    tensors named in ``_state``, so ``state_dict`` needs no code in subclasses.

    The state has ``n + 1`` rows (see `_full`): the recorder sends visits that must not count, such as second visits, to
    the spare row ``n``, because filtering a batch would wait for the device. State rows are therefore read, changed and
    assigned, never accumulated in place, and ``values`` omits the spare row.
    """

    needs: frozenset[str]
    phase: ClassVar[Phase] = "eval"
    _state: ClassVar[tuple[str, ...]] = ()

    n: int
    device: torch.device

    def start(
        self, n: int, *, epochs: int, num_classes: int | None, device: torch.device | str = "cpu"
    ) -> None:
        """Allocates state for ``n`` samples; raises `InputError` if there are too few epochs or classes."""
        self.n, self.device = n, torch.device(device)
        if self.needs & _OF_CLASSES and (num_classes is None or num_classes < 2):
            raise InputError(
                f"{type(self).__name__} reads class probabilities, but the data has {num_classes or 'no'} "
                "classes; use a score of losses or errors, such as dynamic_uncertainty or st_complexity"
            )
        self._allocate(epochs, num_classes)

    def check(self, job: JobFacts) -> None:
        """Raises `InputError` if the run is too short or the data does not fit, before anything is trained."""
        copy.copy(self).start(1, epochs=int(job.epochs or 1), num_classes=job.num_classes)

    @abstractmethod
    def _allocate(self, epochs: int, num_classes: int | None) -> None:
        """Validates the arguments against the run, and creates all tensors named in ``_state``."""

    @abstractmethod
    def update(self, rows: Tensor, signals: Signals, epoch: int) -> None:
        """Processes one batch; ``rows [B]`` int64 in 0..n are unique except for the spare row ``n``."""

    @abstractmethod
    def values(self) -> Tensor:
        """Returns the scores ``[n]`` float32 on the CPU; samples with too few visits get the score of no dynamics."""

    def state_dict(self) -> dict[str, Any]:
        """Returns the tensors needed to continue the recording in another process, as references, like torch."""
        return {name: getattr(self, name) for name in self._state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the state from `state_dict`; call it after `start`."""
        for name in self._state:
            mine = getattr(self, name)
            if name not in state or state[name].shape != mine.shape:
                given = f"has shape {tuple(state[name].shape)}" if name in state else "is missing"
                raise InputError(
                    f"{type(self).__name__}: the saved '{name}' {given} but this recording needs "
                    f"{tuple(mine.shape)}; resume with the same data and score arguments"
                )
            mine.copy_(state[name])

    def get_params(self) -> dict[str, Any]:
        """Returns the constructor arguments."""
        return {name: getattr(self, name) for name in inspect.signature(type(self)).parameters}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_params().items())})"

    def _full(self, *shape: int, fill: float = 0, dtype: torch.dtype = torch.float32) -> Tensor:
        """Creates one state row ``[*shape]`` for each sample and one spare row."""
        return torch.full((self.n + 1, *shape), fill, dtype=dtype, device=self.device)

    def _finish(self, values: Tensor) -> Tensor:
        """Drops the spare row and copies to the CPU."""
        return values[: self.n].to("cpu", torch.float32, copy=True)


def required(signal: Tensor | None) -> Tensor:
    """Returns a signal that is present because the score lists it in ``needs``."""
    assert signal is not None
    return signal
