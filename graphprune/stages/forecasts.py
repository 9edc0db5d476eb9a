"""Judge forecasts in original units: MAE, RMSE and MAPE over all horizons and at single ones."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from graphprune.data.windows import WindowSamples
from graphprune.files import read_json, write_json
from graphprune.stages.arms import Arm
from graphprune.stages.job import Job
from graphprune.store import Attempt
from graphprune.train.checkpoint import load_weights
from graphprune.train.forecast_errors import Errors, forecast_errors


def arm_errors(job: Job, arm: Arm) -> list[Errors]:
    """Test errors of a trained arm for each random state; empty for data that are no windows.

    Writes ``arms/<arm>/<state>.errors.json`` from the arm's weights.
    """
    if not isinstance(job.data.test, WindowSamples):
        return []
    return [_errors_of(job, arm, state) for state in job.config.training.random_states]


def summary(errors: Sequence[Errors]) -> dict[str, Any]:
    """``{"all": {"mae": {"mean", "std"}, "rmse", "mape"}, "3": ...}`` over trainings; None where undefined."""
    return {
        step: {measure: _spread([one[step][measure] for one in errors]) for measure in measures}
        for step, measures in errors[0].items()
    }


def _errors_of(job: Job, arm: Arm, state: int) -> Errors:
    folder = job.run / f"arms/{arm.name}"
    weights, path = folder / f"{state}.safetensors", folder / f"{state}.errors.json"
    precision = job.config.training.precision

    def work(attempt: Attempt) -> Iterable[Path]:
        model = job.make_model("arm", state)
        load_weights(model, weights)
        model.to(job.device)
        found = forecast_errors(model, job.data.test, job.data.info, device=job.device, precision=precision)
        write_json(path, found)
        return [path]

    settings = {"data": job.data.fingerprint, "precision": precision, "device": job.device.type}
    job.run.ensure(f"errors/{arm.name}/{state}", settings=settings, inputs=[weights], work=work)
    return read_json(path)  # type: ignore[no-any-return]


def _spread(values: Sequence[float | None]) -> dict[str, float | None]:
    known = [value for value in values if value is not None and math.isfinite(value)]
    if len(known) < len(values):
        return {"mean": None, "std": None}
    return {"mean": statistics.fmean(known), "std": statistics.stdev(known) if len(known) > 1 else None}
