"""The list of stages: a job runs them in this order, and a plan estimates them in the same order."""

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
    """Yield every stage of the job.

    Each stage must be done (or, for a plan, estimated) before the next one is requested, because the length of the
    equal-cost arms depends on the cost of the arms before them.
    """
    for make in STAGES:
        yield from make(job)
