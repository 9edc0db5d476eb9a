"""What finding labels will take, where the paradigm needs none that were given."""

from __future__ import annotations

from dataclasses import replace

from graphprune.config_base import Method
from graphprune.ledger import Cost
from graphprune.registry import create
from graphprune.stages.job import Job
from graphprune.stages.labels import without_labels

# Two lengths of the search: their difference is the time of an iteration.
_SHORT, _LONGER = 1, 11


def short_labels(job: Job) -> tuple[Job, Cost | None]:
    """The job as the scoring stages see it, with labels of a few iterations, and what all of them will cost.

    Without a search for labels these are the job itself and None.
    """
    method = job.config.paradigm
    if method is None or method.name != "unsupervised":
        return job, None
    first, _ = _search(job, method, _SHORT)
    last, labelled = _search(job, method, _LONGER)
    iterations = create("paradigm", method.name, **method.options).iterations
    an_iteration = max(0.0, last.seconds - first.seconds) / (_LONGER - _SHORT)
    seconds = first.seconds + an_iteration * (iterations - _SHORT)
    return replace(job, data=labelled.data), Cost(seconds, last.peak_mib)


def _search(job: Job, method: Method, iterations: int) -> tuple[Cost, Job]:
    short = Method(name=method.name, **{**method.options, "iterations": iterations})
    labelled = without_labels(replace(job, config=job.config.model_copy(update={"paradigm": short})))
    return job.run.costs("labels")["labels"], labelled
