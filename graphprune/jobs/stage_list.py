"""The one list of stages: a job does them in this order, and a plan walks the same list."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from graphprune.jobs import arms
from graphprune.jobs.job import Job
from graphprune.jobs.stage import Stage
from graphprune.jobs.stages import (
    audit,
    complexity,
    embed,
    evaluate,
    extrapolate,
    forecasts,
    graph,
    labels,
    learned,
    reference,
    seed_run,
    seeds,
    select,
    short_run,
    windows,
)

STAGES: list[Callable[[Job], Iterable[Stage]]] = [
    labels.stages,
    seeds.stages,
    seed_run.stages,
    learned.stages,
    embed.stages,
    graph.stages,
    short_run.stages,
    complexity.stages,
    extrapolate.stages,
    seed_run.oracle_stages,
    audit.stages,
    evaluate.stages,
    select.stages,
    reference.stages,
    windows.stages,
    arms.stages,
    arms.equal_cost_stages,
    forecasts.stages,
]


def stages(job: Job) -> Iterator[Stage]:
    """Every stage of the job. Each must be done (or, for a plan, estimated) before the next is asked for: how long
    the equal-cost arms are follows from what the arms before them cost."""
    for make in STAGES:
        yield from make(job)
