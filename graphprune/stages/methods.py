"""Which extrapolators a job runs: those of the config, and beside them the controls that fit nothing."""

from __future__ import annotations

from graphprune.config_base import Method
from graphprune.data.windows import WindowSamples
from graphprune.extrapolate.ranks import RankControl
from graphprune.registry import entries, get
from graphprune.stages.job import Job


def methods_of(job: Job) -> tuple[Method, ...]:
    """The config's extrapolators, then every further control for which the job has the inputs."""
    config, info = job.config, job.data.info
    if not config.controls:
        return config.extrapolators
    there = {
        "labels": job.data.train.labels is not None,
        "probes": info.num_classes is not None and config.embedding.source == "seed_model",
        "short_run": config.short_run is not None,
        "input_complexity": isinstance(job.data.train, WindowSamples),
        # A paradigm of one's own may not tell forecast errors.
        "seed_errors": isinstance(job.data.train, WindowSamples) and job.paradigm is None,
    }
    named = {method.name for method in config.extrapolators}
    fitless = [
        e.name
        for e in entries("extrapolator").values()
        if e.source == "control" and issubclass(e.cls, RankControl)
    ]
    possible = [name for name in fitless if all(there[need] for need in _requires(name))]
    return (*config.extrapolators, *(Method(name=name) for name in possible if name not in named))


def is_control(name: str) -> bool:
    """Whether the registry lists the extrapolator as a control."""
    entry = entries("extrapolator").get(name)
    return entry is not None and entry.source == "control"


def _requires(name: str) -> tuple[str, ...]:
    required: tuple[str, ...] = get("extrapolator", name).requires
    return required
