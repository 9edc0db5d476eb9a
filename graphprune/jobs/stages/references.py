"""Forecasts that need no training, which every forecasting arm must beat."""

from __future__ import annotations

from graphprune.data.windows import WindowSamples
from graphprune.jobs.job import Job
from graphprune.train.forecast_errors import Errors


def reference_forecasts(job: Job) -> dict[str, Errors]:
    """Return the test errors of ``last_value`` and ``historical_average`` in original units; empty for images."""
    train, test = job.data.train, job.data.test
    if not (isinstance(train, WindowSamples) and isinstance(test, WindowSamples)):
        return {}
    from graphprune.train.naive import historical_average, last_value, naive_errors

    forecasts = {"last_value": last_value(test), "historical_average": historical_average(train, test)}
    return {name: naive_errors(test, forecast, job.data.info) for name, forecast in forecasts.items()}
