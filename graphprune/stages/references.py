"""Forecasts that need no training, as the floor that every forecasting arm must beat."""

from __future__ import annotations

from graphprune.stages.job import Job


def reference_forecasts(job: Job) -> dict[str, float]:
    """Masked test MAE in original units of ``last_value`` and ``historical_average``; empty for images."""
    from graphprune.data.windows import WindowSamples

    train, test = job.data.train, job.data.test
    if not (isinstance(train, WindowSamples) and isinstance(test, WindowSamples)):
        return {}
    from graphprune.train.naive import historical_average, last_value

    return {"last_value": last_value(test), "historical_average": historical_average(train, test)}
