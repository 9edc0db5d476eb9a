"""A log of the signals of every sample in every epoch, for short runs and a few checkpoints."""

from __future__ import annotations

import torch
from torch import Tensor

from graphprune.errors import InputError
from graphprune.scores.base import Phase, Score, Signals, required
from graphprune.scores.el2n import logit_gradient
from graphprune.scores.entropy import entropy_of

OF_CLASSES = ("p_true", "entropy", "el2n")
OF_FORECASTS = ("loss",)
_NEEDS = {
    "p_true": frozenset({"p_true"}),
    "entropy": frozenset({"log_probs"}),
    "el2n": frozenset({"log_probs", "targets"}),
    "loss": frozenset({"loss"}),
}

_LARGEST = torch.finfo(torch.float16).max


class SignalLog(Score):
    """Keeps whole trajectories, unlike the other scores. It is meant for few epochs and is not registered.

    Args:
        names: Names from ``p_true``, ``entropy`` (in nats), ``el2n`` (see `EL2N`) and ``loss``
            (default: the first three with classes, else the loss).
        phase: ``train`` (online, default) or ``eval``.

    Shapes: state by name ``[E, n + 1]`` float16, NaN if a sample was not visited. The rounding error is at most 2^-11
    of the value, or 3e-8 if that is larger; losses above 65,504 become 65,504.

    Raises:
        InputError: an unknown name.

    Cost: O(B C) time per batch, 2 bytes per name, epoch and sample.

    >>> log = SignalLog(names=("loss",))
    >>> log.start(2, epochs=2, num_classes=None)
    >>> log.update(torch.tensor([0, 1]), Signals(loss=torch.tensor([0.5, 2.0])), epoch=0)
    >>> log.update(torch.tensor([1]), Signals(loss=torch.tensor([1.0])), epoch=1)
    >>> log.log()["loss"].tolist()
    [[0.5, 2.0], [nan, 1.0]]
    """

    def __init__(self, *, names: tuple[str, ...] | None = None, phase: Phase = "train") -> None:
        self.names = names
        self.phase = phase  # type: ignore[misc]
        self.needs = frozenset()

    def _allocate(self, epochs: int, num_classes: int | None) -> None:
        names = self.names or (OF_FORECASTS if num_classes is None else OF_CLASSES)
        for name in names:
            if name not in _NEEDS:
                raise InputError(f"SignalLog: unknown signal '{name}'; use {', '.join(_NEEDS)}")
        self.needs = frozenset[str]().union(*(_NEEDS[name] for name in names))
        self._state = names  # type: ignore[misc]
        for name in names:
            empty = torch.full((epochs, self.n + 1), float("nan"), dtype=torch.float16, device=self.device)
            setattr(self, name, empty)

    def update(self, rows: Tensor, signals: Signals, epoch: int) -> None:
        for name in self._state:
            getattr(self, name)[epoch, rows] = _signal(name, signals).clamp(max=_LARGEST).half()

    def log(self) -> dict[str, Tensor]:
        """Returns the trajectories by name, ``[E, n]`` float16 on the CPU."""
        return {name: getattr(self, name)[:, : self.n].cpu() for name in self._state}

    def values(self) -> Tensor:
        """Returns the mean of the first signal over the visits ``[n]``, 0 for samples never visited."""
        first = getattr(self, self._state[0]).float()
        return self._finish(first.nanmean(dim=0).nan_to_num(0.0))


def _signal(name: str, signals: Signals) -> Tensor:
    if name == "loss":
        return required(signals.loss)
    if name == "p_true":
        return required(signals.p_true)
    log_probs = required(signals.log_probs)
    if name == "entropy":
        return entropy_of(log_probs)
    error: Tensor = torch.linalg.vector_norm(logit_gradient(log_probs, required(signals.targets)), dim=1)
    return error


def signals_of_probabilities(probs: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """Computes the same signals ``[E, N]`` float32 by name from probabilities ``[E, N, C]`` and labels ``[N]``."""
    own = probs.gather(2, labels.expand(len(probs), -1)[:, :, None])[:, :, 0]
    error = probs.square().sum(dim=2) - own.square() + (1 - own).square()
    return {
        "p_true": own,
        "entropy": torch.special.entr(probs).sum(dim=2),
        "el2n": error.clamp(min=0).sqrt(),
    }
