"""A synthetic training run with every signal, and helpers that record it."""

from __future__ import annotations

from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from graphprune.registry import create
from graphprune.scores.recorder import Recorder


def make_run(n: int = 11, epochs: int = 32, classes: int = 4, seed: int = 0) -> SimpleNamespace:
    """Signals ``[E, N, ...]`` of a run; ids differ from positions."""
    rng = np.random.default_rng(seed)

    def normal(*shape: int, scale: float = 1.0) -> torch.Tensor:
        return torch.tensor(scale * rng.normal(size=shape), dtype=torch.float32)

    logits = normal(epochs, n, classes, scale=2.0)
    targets = torch.tensor(rng.integers(0, classes, n))
    loss = torch.stack([torch.nn.functional.cross_entropy(z, targets, reduction="none") for z in logits])
    return SimpleNamespace(
        n=n,
        epochs=epochs,
        classes=classes,
        ids=torch.arange(n) * 3 + 5,
        targets=targets,
        logits=logits,
        loss=loss,
        features=normal(epochs, n, 6),
        errors=normal(epochs, n, 3, 5).abs(),
    )


def observe(recorder: Recorder, run: SimpleNamespace, epoch: int, rows: torch.Tensor) -> None:
    """Passes one batch to the recorder in every phase that it needs."""
    for phase in recorder.phases:
        signals = {name: getattr(run, name)[epoch, rows] for name in ("logits", "loss", "features", "errors")}
        recorder.observe(phase, run.ids[rows], epoch, targets=run.targets[rows], **signals)


def batches(run: SimpleNamespace, size: int = 4) -> Iterable[tuple[int, torch.Tensor]]:
    """Every epoch's batches, in order."""
    for epoch in range(run.epochs):
        for rows in torch.arange(run.n).split(size):
            yield epoch, rows


def new_recorder(name: str, run: SimpleNamespace, **options: Any) -> Recorder:
    """A recorder of one score for this run."""
    return Recorder(
        {name: create("score", name, **options)}, run.ids, epochs=run.epochs, num_classes=run.classes
    )


def record(name: str, run: SimpleNamespace, order: Any = None, **options: Any) -> np.ndarray:
    """The values after the whole run, or after the given (epoch, rows)."""
    recorder = new_recorder(name, run, **options)
    for epoch, rows in batches(run) if order is None else order:
        observe(recorder, run, epoch, rows)
    return recorder.values()[name].numpy()


@pytest.fixture
def tools() -> SimpleNamespace:
    """The helpers above."""
    return SimpleNamespace(
        make_run=make_run, observe=observe, batches=batches, new_recorder=new_recorder, record=record
    )
