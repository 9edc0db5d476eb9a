"""Measure training on a few batches."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from graphprune.config.training import OptimizationConfig
from graphprune.jobs.job import Job
from graphprune.jobs.plan.measured import Measured, resident_mib, spread
from graphprune.jobs.stages.looks import wants_looks
from graphprune.registry import create
from graphprune.runtime.cost import Cost
from graphprune.samplers.static import StaticSampler
from graphprune.scores.base import Score
from graphprune.scores.last_visits import LastVisits
from graphprune.scores.recorder import Recorder
from graphprune.scores.signal_log import OF_CLASSES, OF_FORECASTS, SignalLog
from graphprune.train.loop import train_model

MakeScores = Callable[[], dict[str, Score]]


def trainings(job: Job) -> dict[str, tuple[OptimizationConfig, MakeScores | None]]:
    """Return the kinds of training of the job, each with its settings and the scores that record it."""
    config, info = job.config, job.data.info
    arms = config.training.optimization()

    def scores() -> dict[str, Score]:
        return {score.name: create("score", score.name, **score.options) for score in config.scores}

    def with_looks() -> dict[str, Score]:
        looks: dict[str, Score] = {"passes": LastVisits()} if wants_looks(job) else {}
        if looks and config.seeds.background:
            looks["visits"] = LastVisits(phase="train")
        return {**scores(), **looks}

    def log() -> dict[str, Score]:
        return {"log": SignalLog(names=OF_FORECASTS if info.num_classes is None else OF_CLASSES)}

    kinds: dict[str, tuple[OptimizationConfig, MakeScores | None]] = {
        "seed": (config.seed_training, with_looks)
    }
    if config.oracle is not None or config.audit is not None:
        kinds["oracle"] = (arms, scores)
    if config.short_run is not None:
        kinds["short_run"] = (arms, log)
    return {**kinds, "arm": (arms, None)}


def measure_training(
    job: Job,
    model: nn.Module,
    settings: OptimizationConfig,
    scores: MakeScores | None,
    *,
    seconds: float,
) -> tuple[Measured, Measured | None]:
    """Measure a training epoch over part of the samples, and the evaluation pass after it.

    The job's paradigm trains, so the measurement includes its attacks.

    Args:
        model: The model; it is trained further.
        settings: Settings of the training.
        scores: The scores that record the training (default: none).
        seconds: Minimum duration of the training, without the evaluation passes.
    """
    n, batch = len(job.data.train), settings.batch_size
    # The first steps load kernels; the steps after them show how many fit into the time.
    _attempt(job, model, settings, scores, min(n, 2 * batch))
    count = min(n, 4 * batch)
    first = _attempt(job, model, settings, scores, count)[0]
    count = min(n, max(count, int(count * seconds / max(first.seconds, 1e-4)) // batch * batch))
    base = resident_mib()
    train, passes = _attempt(job, model, settings, scores, count)
    # If all samples take less than the time, training repeats.
    while train.seconds < seconds:
        more, looks = _attempt(job, model, settings, scores, count)
        train, passes = train + more, passes + looks
    measured = Measured(train.trained_samples, train.seconds, base, train.peak_mib)
    if not passes.forward_samples:
        return measured, None
    return measured, Measured(passes.forward_samples, passes.seconds, base, passes.peak_mib)


def _attempt(
    job: Job, model: nn.Module, settings: OptimizationConfig, scores: MakeScores | None, count: int
) -> tuple[Cost, Cost]:
    train = job.data.train
    rows = spread(len(train), count)
    recorder = None
    if scores is not None:
        recorder = Recorder(
            scores(),
            torch.from_numpy(train.ids[rows.numpy()]),
            epochs=int(settings.epochs),
            num_classes=job.data.info.num_classes,
            device=job.device,
        )
    result = train_model(
        model,
        train,
        job.paradigm_for(settings),
        StaticSampler(len(train), rows=rows, epochs=1, seed=0),
        settings.model_copy(update={"epochs": 1}),
        seed=0,
        device=job.device,
        recorder=recorder,
    )
    return result.cost, result.evaluation_cost
