"""Compute scores from existing training logs, with the same streaming code as a live recording."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from graphprune.errors import InputError
from graphprune.scores.base import Score, Signals

# Maximum numbers per epoch and maximum samples in a block.
_BLOCK, _SAMPLES = 2**22, 2**16
# Tolerances for softmax outputs in half precision: beyond [0, 1], and for their sum.
_OUTSIDE, _SUM = 1e-3, 1e-2
_NAMES = {
    "log_probs": "all class probabilities",
    "features": "penultimate features",
    "errors": "forecast errors",
}


def scores_from_trajectories(
    score: Score,
    labels: npt.ArrayLike | None = None,
    *,
    probs: npt.NDArray[Any] | None = None,
    p_true: npt.NDArray[Any] | None = None,
    ids: npt.NDArray[np.int64] | None = None,
) -> npt.NDArray[np.float32]:
    """Computes a score from logged probabilities, epoch by epoch.

    The log may come from training or from evaluation passes; the ``phase`` of the score is ignored. The loss is the
    cross-entropy -log p.

    Args:
        score: A new score whose value for a sample depends only on that sample; afterwards it holds the state of the
            last block.
        labels: ``[N]`` int, 0 <= label < C; optional with ``p_true``.
        probs: Class probabilities after each epoch ``[E, N, C]``, any float type. A memory-mapped array
            stays on disk and is read once.
        p_true: Instead of ``probs``, the probabilities of the true label ``[E, N]``, for scores that read only these
            or the loss.
        ids: Sample ids ``[N]``, used in error messages (default: ``0..N-1``).

    Returns:
        Scores ``[N]`` float32 in the order of the samples.

    Raises:
        InputError: inconsistent shapes, NaN, values that are not probabilities, labels out of range, a score that
            needs more than the log contains, or too few epochs for its windows.

    Cost: the cost of the score; O(block C) memory.

    >>> import numpy as np
    >>> from graphprune.registry import create
    >>> p_true = np.array([[0.2, 0.9], [0.6, 0.9], [0.9, 0.9]])
    >>> scores_from_trajectories(create("score", "dynamic_uncertainty", window=2), p_true=p_true).round(3)
    array([0.283, 0.   ], dtype=float32)
    """
    if (probs is None) == (p_true is None):
        raise InputError("give either probs [E, N, C] or p_true [E, N], not both")
    log = _ClassLog(probs, labels, ids) if probs is not None else _TrueLabelLog(p_true, labels, ids)
    values = np.empty(log.n, dtype=np.float32)
    for start in range(0, log.n, log.block):
        stop = min(start + log.block, log.n)
        score.start(stop - start, epochs=log.epochs, num_classes=log.num_classes)
        if missing := score.needs - log.holds:
            raise InputError(
                f"{type(score).__name__} needs {' and '.join(sorted(_NAMES.get(m, m) for m in missing))}, "
                f"which {log.name} does not contain; {log.remedy}"
            )
        rows = torch.arange(stop - start)
        for epoch in range(log.epochs):
            score.update(rows, log.signals(epoch, start, stop), epoch)
        values[start:stop] = score.values().numpy()
    return values


class _TrueLabelLog:
    """``p_true [E, N]``, read and checked in blocks of samples."""

    name = "p_true"
    dimensions = "[E, N]"
    holds = frozenset({"p_true", "loss"})
    remedy = "log probs [E, N, C] instead"

    def __init__(self, array: Any, labels: npt.ArrayLike | None, ids: npt.NDArray[np.int64] | None) -> None:
        self.array = np.asanyarray(array)
        if self.array.ndim != self.dimensions.count(",") + 1 or 0 in self.array.shape:
            raise InputError(
                f"{self.name} has shape {self.array.shape}; it must have shape {self.dimensions}"
            )
        if self.array.dtype.kind != "f":
            raise InputError(f"{self.name} is {self.array.dtype}; it must be floating-point probabilities")
        self.epochs, self.n = self.array.shape[:2]
        self.num_classes = self.array.shape[2] if self.array.ndim == 3 else 2
        self.block = max(1, min(_SAMPLES, _BLOCK // self.num_classes))
        self.ids = np.arange(self.n) if ids is None else np.asarray(ids)
        self.labels = None if labels is None else np.asarray(labels)
        for what, given in (("ids", self.ids), ("labels", self.labels)):
            if given is not None and (given.shape != (self.n,) or given.dtype.kind not in "iu"):
                raise InputError(
                    f"{what} have shape {given.shape} and type {given.dtype} but {self.name} covers {self.n} "
                    "samples; give one integer per sample"
                )

    def signals(self, epoch: int, start: int, stop: int) -> Signals:
        """Returns the signals of rows ``start..stop`` in one epoch."""
        p_true = self._probabilities(epoch, start, stop)
        return Signals(p_true=p_true, loss=-_log(p_true))

    def _probabilities(self, epoch: int, start: int, stop: int) -> Tensor:
        block = np.array(self.array[epoch, start:stop], dtype=np.float32)
        probabilities = torch.from_numpy(block)
        # NaN fails both comparisons.
        inside = (probabilities >= -_OUTSIDE) & (probabilities <= 1 + _OUTSIDE)
        bad = ~inside.reshape(stop - start, -1).all(dim=1)
        self._refuse(bad, epoch, start, "values that are not probabilities in [0, 1]")
        return probabilities.clamp_(0, 1)

    def _refuse(self, bad: Tensor, epoch: int, start: int, what: str) -> None:
        if bad.any():
            first = int(self.ids[start + int(bad.to(torch.int8).argmax())])
            raise InputError(
                f"{self.name} contains {what}: at epoch {epoch} in {int(bad.sum())} samples, the first is id "
                f"{first}; log softmax outputs"
            )


class _ClassLog(_TrueLabelLog):
    """``probs [E, N, C]`` with labels."""

    name = "probs"
    dimensions = "[E, N, C]"
    holds = frozenset({"p_true", "loss", "log_probs", "logits", "targets"})
    remedy = "attach a recorder to a training run"

    def __init__(self, array: Any, labels: npt.ArrayLike | None, ids: npt.NDArray[np.int64] | None) -> None:
        super().__init__(array, labels, ids)
        if self.labels is None:
            raise InputError("probs need labels; give the class of every sample")
        outside = (self.labels < 0) | (self.labels >= self.num_classes)
        if outside.any():
            first = int(outside.argmax())
            raise InputError(
                f"labels: {int(outside.sum())} are outside 0..{self.num_classes - 1}, the first is "
                f"{int(self.labels[first])} of id {int(self.ids[first])}; number the classes as in probs, from 0"
            )
        self._targets = torch.from_numpy(self.labels.astype(np.int64))

    def signals(self, epoch: int, start: int, stop: int) -> Signals:
        """Returns the signals of rows ``start..stop`` in one epoch; logs of probabilities are used as logits."""
        probs = self._probabilities(epoch, start, stop)
        off = (probs.sum(dim=1) - 1).abs() > _SUM
        self._refuse(off, epoch, start, "rows that do not sum to 1")
        targets = self._targets[start:stop]
        p_true = probs.gather(1, targets[:, None])[:, 0]
        log_probs = _log(probs)
        return Signals(
            loss=-_log(p_true), logits=log_probs, targets=targets, log_probs=log_probs, p_true=p_true
        )


def _log(probabilities: Tensor) -> Tensor:
    """Logarithm that is finite if a probability was rounded to 0."""
    return probabilities.clamp(min=torch.finfo(torch.float32).tiny).log()
