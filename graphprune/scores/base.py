"""What a score is: a streaming reduction of training dynamics to one number per sample."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

Phase = Literal["train", "eval"]


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
    first counts (the recorder drops the rest before they reach a score).

    Subclasses set ``needs`` (fields of `Signals`), ``phase`` (``train``: recorded online in the training
    forward pass; ``eval``: on an un-augmented evaluation pass after each epoch) and implement
    ``_allocate``, ``update`` and ``values``. All state is tensors named in ``_state``, so that
    ``state_dict`` needs no code of its own.
    """

    needs: ClassVar[frozenset[str]]
    phase: ClassVar[Phase] = "eval"
    _state: ClassVar[tuple[str, ...]] = ()

    n: int
    device: torch.device

    def start(self, n: int, *, epochs: int, num_classes: int | None, device: torch.device | str = "cpu") -> None:
        """Allocates state for ``n`` samples. Raises `InputError` when ``epochs`` are too few for the windows."""
        self.n, self.device = n, torch.device(device)
        self._allocate(epochs, num_classes)

    @abstractmethod
    def _allocate(self, epochs: int, num_classes: int | None) -> None: ...

    @abstractmethod
    def update(self, rows: Tensor, signals: Signals, epoch: int) -> None:
        """Takes one batch: ``rows [B]`` int64 positions in 0..n-1 without repetition, their signals, the epoch."""

    @abstractmethod
    def values(self) -> Tensor:
        """The scores ``[n]`` float32 on the CPU; samples without enough visits get the score of no dynamics."""

    def state_dict(self) -> dict[str, Any]:
        """Tensors that continue the recording in another process."""
        return {name: getattr(self, name) for name in self._state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from `state_dict`; call after `start`."""
        for name in self._state:
            getattr(self, name).copy_(state[name])
