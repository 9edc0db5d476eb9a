"""Training from fresh weights with a recorder attached: seed runs, full runs and short runs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphprune.config.training import OptimizationConfig
from graphprune.jobs.job import Job
from graphprune.jobs.stage import Attempt
from graphprune.runtime.rng import derive_seed
from graphprune.samplers.background import BackgroundSampler
from graphprune.scores.group import Observer
from graphprune.train.checkpoint import Checkpoint
from graphprune.train.divergence import refuse_diverged
from graphprune.train.loop import TrainResult, train_model
from graphprune.train.tracking import Tracker


def train_watched(
    job: Job,
    attempt: Attempt,
    purpose: str,
    settings: OptimizationConfig,
    recorder: Observer,
    *,
    rows: Tensor | None = None,
    background: float = 0.0,
    tracker: Tracker | None = None,
    until: int | None = None,
) -> tuple[nn.Module, TrainResult]:
    """Train a model with a recorder attached; all randomness comes from the job's seed and ``purpose``.

    Args:
        rows: Rows ``[M]`` int64 that every epoch trains on (default: all samples).
        background: Number of rotating extra samples in each epoch, per row.
        until: Number of epochs after which the training stops (default: all).
    """
    train = job.data.train
    seed = derive_seed(job.config.seed, "train", purpose)
    every_epoch = torch.arange(len(train)) if rows is None else rows
    sampler = BackgroundSampler(
        len(train), seeds=every_epoch, background=background, epochs=settings.epochs, seed=seed
    )
    model = job.make_model(purpose)
    result = train_model(
        model,
        train,
        job.paradigm_for(settings),
        sampler,
        settings,
        seed=seed,
        device=job.device,
        recorder=recorder,
        checkpoint=Checkpoint(attempt.checkpoint),
        progress=job.reporter.progress,
        tracker=tracker,
        until=until,
    )
    refuse_diverged(model, f"run '{purpose}'")
    return model, result
