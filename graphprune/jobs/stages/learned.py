"""Evidence that models have learned: the accuracy of the majority class, and the seed run's test metric."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from graphprune.data.base import Data
from graphprune.files import read_json, write_json
from graphprune.jobs import paths
from graphprune.jobs.job import Job
from graphprune.jobs.stage import Attempt, Estimate, Product, Stage
from graphprune.jobs.stages.labels import finds_labels
from graphprune.train.checkpoint import load_weights
from graphprune.train.evaluate import evaluate_model


def majority_share(data: Data) -> float | None:
    """Return the fraction of test samples in the most frequent training class; None for forecasts."""
    if data.train.labels is None or data.test.labels is None:
        return None
    return float(np.mean(data.test.labels == np.bincount(data.train.labels).argmax()))


def seed_run_metric(job: Job) -> dict[str, Any] | None:
    """Return ``{"metric", "value"}`` of the seed run's model on the test part; None if it learned other labels."""
    files = job.run.outputs("seed_test")
    return read_json(files[0]) if files else None


def stages(job: Job) -> Iterator[Stage]:
    """Write ``checkpoints/seed.json``: the test metric of the seed run's model, if it learned the given labels.

    The pass over the test part is only for evaluation and is part of no arm's cost.
    """
    if finds_labels(job):
        return
    path, settings = job.run / paths.SEED_METRIC, job.config.seed_training
    paradigm = job.paradigm_for(settings)

    def work(attempt: Attempt) -> Iterable[Path]:
        model = job.make_model("seed")
        load_weights(model, job.run / paths.SEED_MODEL)
        model.to(job.device)
        value = evaluate_model(
            model,
            job.data.test,
            paradigm,
            device=job.device,
            precision=settings.precision,
            workers=settings.workers,
        )
        if not attempt.writes:
            return []
        write_json(path, {"metric": paradigm.metric, "value": value})
        return [path]

    key = {
        "data": job.data.fingerprint,
        "test": len(job.data.test),
        "model": job.model_settings,
        "precision": settings.precision,
        "device": job.device.type,
    }
    yield Stage(
        "seed_test",
        work,
        # The ledger does not count testing.
        lambda _: Estimate({}),
        makes=(Product("seed_test", (paths.SEED_METRIC,)),),
        needs=("seed_model",),
        settings=key,
        together=True,
    )
