"""Estimate the cost of finding labels for a paradigm that does not use the given ones."""

from __future__ import annotations

from dataclasses import replace

from graphprune.config.base import Method
from graphprune.jobs.job import Job
from graphprune.jobs.stages import labels
from graphprune.registry import create
from graphprune.runtime.cost import Cost

# Two numbers of iterations; the difference of their times gives the time of one iteration.
_SHORT, _LONGER = 1, 11


def short_labels(job: Job) -> Cost | None:
    """Find labels in a few iterations and return the estimated cost of all; None if labels are given."""
    method = job.config.paradigm
    if method is None or not labels.finds_labels(job):
        return None
    first, last = (_search(job, method, iterations) for iterations in (_SHORT, _LONGER))
    iterations = create("paradigm", method.name, **method.options).iterations
    an_iteration = max(0.0, last.seconds - first.seconds) / (_LONGER - _SHORT)
    return Cost(first.seconds + an_iteration * (iterations - _SHORT), last.peak_mib)


def _search(job: Job, method: Method, iterations: int) -> Cost:
    short = Method(name=method.name, **{**method.options, "iterations": iterations})
    for stage in labels.stages(replace(job, config=job.config.model_copy(update={"paradigm": short}))):
        job.run.ensure(stage)
    return job.run.costs("labels")["labels"]
