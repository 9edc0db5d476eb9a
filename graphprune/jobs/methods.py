"""The extrapolators of a job: those of the config, and the controls that need no fit."""

from __future__ import annotations

from graphprune.config.base import Method
from graphprune.data.windows import WindowSamples
from graphprune.extrapolate.controls.ranks import RankControl
from graphprune.jobs.job import Job
from graphprune.registry import entries, get


def methods_of(job: Job) -> tuple[Method, ...]:
    """Return the config's extrapolators, then every other control whose inputs the job has."""
    config = job.config
    if not config.controls:
        return config.extrapolators
    there = provided(job)
    named = {method.name for method in config.extrapolators}
    fitless = [
        e.name
        for e in entries("extrapolator").values()
        if e.role == "control" and issubclass(e.cls, RankControl)
    ]
    possible = [name for name in fitless if there.issuperset(_requires(name))]
    return (*config.extrapolators, *(Method(name=name) for name in possible if name not in named))


def provided(job: Job) -> frozenset[str]:
    """Return the optional inputs that the job provides to its methods."""
    config, info, windows = job.config, job.data.info, isinstance(job.data.train, WindowSamples)
    there = {
        "graph": True,
        "embeddings": True,
        "labels": job.data.train.labels is not None,
        "probes": info.num_classes is not None and config.embedding.source == "seed_model",
        "short_run": config.short_run is not None,
        "input_complexity": windows,
        # A custom paradigm may not report forecast errors.
        "seed_errors": windows and job.paradigm is None,
    }
    return frozenset(name for name, is_there in there.items() if is_there)


def is_control(name: str) -> bool:
    """Return whether the extrapolator is registered as a control."""
    entry = entries("extrapolator").get(name)
    return entry is not None and entry.role == "control"


def _requires(name: str) -> tuple[str, ...]:
    required: tuple[str, ...] = get("extrapolator", name).requires
    return required
