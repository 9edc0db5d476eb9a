"""Begin full runs, so that predicted scores can be audited where nobody makes a whole one."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from graphprune.config import Config
from graphprune.files import read_npy, write_npy
from graphprune.scores.snapshots import SnapshotRecorder
from graphprune.stages.job import Job
from graphprune.stages.score import attached_scores, training_key
from graphprune.stages.watched import train_watched
from graphprune.store import Attempt, RunFolder


def begin_full_runs(job: Job) -> None:
    """Writes ``audit/<run>/<score>.npy [3, N]`` float32: the scores after three lengths of a full run."""
    if job.config.audit is None:
        return
    settings = job.config.training.optimisation()
    for number in range(job.config.audit.runs):
        key = {**training_key(job, settings), "lengths": audit_lengths(job.config), "run": number}
        job.run.ensure(
            f"audit/{number}",
            settings=key,
            inputs=[],
            work=lambda attempt, number=number: _begin(job, attempt, number),  # type: ignore[misc]
            together=True,
        )


def audit_lengths(config: Config) -> list[int]:
    """Numbers of epochs after which the scores are taken: three fifths of a full run, and two earlier ones."""
    assert config.audit is not None
    last = config.audit.epochs or max(3, round(config.training.epochs * 0.6))
    return [min(round(0.7 * last), last - 2), min(round(0.85 * last), last - 1), last]


def audit_scores(run: RunFolder, config: Config, score: str) -> list[npt.NDArray[np.float32]]:
    """The scores ``[3, N]`` of every begun run."""
    runs = config.audit.runs if config.audit else 0
    return [read_npy(path) for path in audit_paths(run, score, runs)]


def audit_paths(run: RunFolder, score: str, runs: int) -> list[Path]:
    """Where they are."""
    return [run / f"audit/{number}/{score}.npy" for number in range(runs)]


def _begin(job: Job, attempt: Attempt, number: int) -> Iterable[Path]:
    settings, lengths = job.config.training.optimisation(), audit_lengths(job.config)
    purpose, ids = f"audit/{number}", job.data.train.ids
    recorder = SnapshotRecorder(
        attached_scores(job, ids),
        torch.from_numpy(ids),
        at=lengths,
        epochs=int(settings.epochs),
        num_classes=job.data.info.num_classes,
        device=job.device,
    )
    _, result = train_watched(job, attempt, purpose, settings, recorder, until=lengths[-1])
    if not attempt.writes:
        return []
    attempt.costs[purpose] = result.cost + result.evaluation_cost
    snapshots: dict[int, dict[str, Any]] = recorder.snapshots
    paths = []
    for name in recorder.scores:
        path = job.run / f"{purpose}/{name}.npy"
        write_npy(path, np.stack([snapshots[length][name].numpy() for length in lengths]))
        paths.append(path)
    return paths
