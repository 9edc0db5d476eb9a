"""Truncated full runs, which audit predicted scores when there is no oracle."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from graphprune.config.job import Config
from graphprune.files import read_npy, write_npy
from graphprune.jobs import paths
from graphprune.jobs.job import Job
from graphprune.jobs.plan.account import visits
from graphprune.jobs.run_folder import RunFolder
from graphprune.jobs.stage import Attempt, Estimate, Product, Stage
from graphprune.jobs.stages.labels import finds_labels
from graphprune.jobs.stages.seed_run import attached_scores, training_key
from graphprune.jobs.watched import train_watched
from graphprune.scores.snapshots import SnapshotRecorder

if TYPE_CHECKING:
    from graphprune.jobs.plan.calibrate import Calibration


def stages(job: Job) -> Iterator[Stage]:
    """Yield the truncated full runs: ``audit/<run>/<score>.npy [3, N]`` float32, the scores after three lengths."""
    job = job.scored
    if job.config.audit is None:
        return
    settings, n = job.config.training.optimization(), len(job.data.train)
    scores = [score.name for score in job.config.scores]

    def estimate(measured: Calibration, entry: str) -> Estimate:
        last = audit_lengths(job.config)[-1]
        cost = measured.trained(job, "oracle", visits(n, last)) + measured.evaluated(job, "oracle", n, last)
        return Estimate({entry: cost}, disk_bytes=12 * len(scores) * n)

    for number in range(job.config.audit.runs):
        name = f"audit/{number}"
        yield Stage(
            name,
            partial(_begin, job, number=number),
            partial(estimate, entry=name),
            makes=tuple(
                Product(f"{name}/{score}", (paths.audit(number, score),), (name,)) for score in scores
            ),
            needs=("labels",) if finds_labels(job) else (),
            settings={**training_key(job, settings), "lengths": audit_lengths(job.config), "run": number},
            together=True,
        )


def audit_lengths(config: Config) -> list[int]:
    """Return after how many epochs scores are computed: three fifths of a full run, and two earlier lengths."""
    assert config.audit is not None
    last = config.audit.epochs or max(3, round(config.training.epochs * 0.6))
    return [min(round(0.7 * last), last - 2), min(round(0.85 * last), last - 1), last]


def audit_scores(run: RunFolder, config: Config, score: str) -> list[npt.NDArray[np.float32]]:
    """Return the scores ``[3, N]`` of every truncated run."""
    return [
        read_npy(run / paths.audit(number, score))
        for number in range(config.audit.runs if config.audit else 0)
    ]


def _begin(job: Job, attempt: Attempt, number: int) -> Iterable[Path]:
    settings, lengths = job.config.training.optimization(), audit_lengths(job.config)
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
    written = []
    for name in recorder.scores:
        path = job.run / paths.audit(number, name)
        write_npy(path, np.stack([snapshots[length][name].numpy() for length in lengths]))
        written.append(path)
    return written
