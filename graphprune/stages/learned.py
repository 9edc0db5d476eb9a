"""What tells whether models have learned: the trivial answer's accuracy, and the seed run's test metric."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from graphprune.data.base import Data
from graphprune.files import read_json, write_json
from graphprune.stages.job import Job
from graphprune.store import Attempt
from graphprune.train.checkpoint import load_weights
from graphprune.train.evaluate import evaluate_model


def majority_share(data: Data) -> float | None:
    """Share of the test part that belongs to the most frequent class of the training part; None for forecasts."""
    if data.train.labels is None or data.test.labels is None:
        return None
    return float(np.mean(data.test.labels == np.bincount(data.train.labels).argmax()))


def seed_run_metric(job: Job) -> dict[str, Any] | None:
    """``{"metric", "value"}`` of the seed run's model on the test part; None where it learned other labels.

    Writes ``checkpoints/seed.json``. Its one pass over the test part serves judging alone and is in no arm's cost.
    """
    weights, path = job.run / "checkpoints/seed.safetensors", job.run / "checkpoints/seed.json"
    method, settings = job.config.paradigm, job.config.seed_training
    if method is not None and method.name == "unsupervised":
        return None
    paradigm = job.paradigm_for(settings)

    def work(attempt: Attempt) -> Iterable[Path]:
        model = job.make_model("seed")
        load_weights(model, weights)
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
    job.run.ensure("seed_test", settings=key, inputs=[weights], work=work, together=True)
    return read_json(path)  # type: ignore[no-any-return]
