"""Evaluate forecasts in original units: MAE, RMSE and MAPE over all horizons and at single horizons."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from graphprune.data.windows import WindowSamples
from graphprune.files import read_json, write_json
from graphprune.jobs import paths
from graphprune.jobs.arms import Arm, all_arms
from graphprune.jobs.job import Job
from graphprune.jobs.stage import Attempt, Estimate, Product, Stage
from graphprune.train.checkpoint import load_weights
from graphprune.train.forecast_errors import Errors, forecast_errors


def stages(job: Job) -> Iterator[Stage]:
    """For windows, write ``arms/<arm>/<seed>.errors.json`` from the weights of every trained arm."""
    if isinstance(job.data.test, WindowSamples):
        for arm in all_arms(job):
            yield from error_stages(job, arm)


def error_stages(job: Job, arm: Arm) -> Iterator[Stage]:
    """Yield the test errors of one arm; nothing for data that are not windows."""
    if isinstance(job.data.test, WindowSamples):
        for state in job.config.training.random_states:
            yield _stage(job, arm, state)


def _stage(job: Job, arm: Arm, state: int) -> Stage:
    path, precision = job.run / paths.arm(arm.name, state, "errors.json"), job.config.training.precision

    def work(attempt: Attempt) -> Iterable[Path]:
        model = job.make_model("arm", state)
        load_weights(model, job.run / paths.arm(arm.name, state, "safetensors"))
        model.to(job.device)
        found = forecast_errors(model, job.data.test, job.data.info, device=job.device, precision=precision)
        write_json(path, found)
        return [path]

    name = f"errors/{arm.name}/{state}"
    return Stage(
        name,
        work,
        # The ledger does not count testing.
        lambda _: Estimate({}),
        makes=(Product(name, (paths.arm(arm.name, state, "errors.json"),)),),
        needs=(f"train/{arm.name}/{state}",),
        settings={"data": job.data.fingerprint, "precision": precision, "device": job.device.type},
    )


def arm_errors(job: Job, arm: Arm) -> list[Errors]:
    """Return the test errors of a trained arm for each random seed; empty for data that are not windows."""
    if not isinstance(job.data.test, WindowSamples):
        return []
    states = job.config.training.random_states
    return [read_json(job.run / paths.arm(arm.name, state, "errors.json")) for state in states]


def summary(errors: Sequence[Errors]) -> dict[str, Any]:
    """Return ``{"all": {"mae": {"mean", "std"}, "rmse", "mape"}, "3": ...}`` over trainings; None if undefined."""
    return {
        step: {measure: _spread([one[step][measure] for one in errors]) for measure in measures}
        for step, measures in errors[0].items()
    }


def _spread(values: Sequence[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None and math.isfinite(value)]
    if len(known) < len(values):
        return {"mean": None, "std": None}
    return {"mean": statistics.fmean(known), "std": statistics.stdev(known) if len(known) > 1 else None}
