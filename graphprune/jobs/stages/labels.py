"""Find labels for a paradigm that does not use the given ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from graphprune.data.base import Data
from graphprune.data.relabelled import Relabelled
from graphprune.embed.precomputed import read_embeddings
from graphprune.errors import InputError
from graphprune.files import read_npy, write_npy
from graphprune.jobs import paths
from graphprune.jobs.job import Job
from graphprune.jobs.stage import Attempt, Estimate, Product, Stage
from graphprune.registry import create
from graphprune.runtime.cost import Cost, measure
from graphprune.runtime.rng import derive_seed
from graphprune.train.paradigms.unsupervised import Unsupervised

if TYPE_CHECKING:
    from graphprune.jobs.plan.calibrate import Calibration

_BATCH = 512


def stages(job: Job) -> Iterator[Stage]:
    """Write ``labels.npy [N]`` if the paradigm finds labels."""
    paradigm = _paradigm(job)
    if paradigm is None:
        return
    train, path, classes = job.data.train, job.run / paths.LABELS, _classes(job, paradigm)

    def work(attempt: Attempt) -> Iterable[Path]:
        cost = attempt.costs["labels"] = Cost()
        with measure(cost):
            spaces = [
                torch.from_numpy(np.array(read_embeddings(f, ids=train.ids))) for f in paradigm.embeddings
            ]
            labels = paradigm.find_labels(
                spaces or [_inputs(job)], classes, seed=derive_seed(job.config.seed, "labels")
            )
            if not bool((labels != labels[0]).any()):
                raise InputError(
                    "unsupervised: all samples received the same label; use better embeddings or a larger gamma"
                )
            write_npy(path, labels.cpu().numpy())
        return [path]

    def estimate(measured: Calibration) -> Estimate:
        return Estimate({"labels": measured.labels or Cost()}, disk_bytes=8 * len(train))

    assert job.config.paradigm is not None
    yield Stage(
        "labels",
        work,
        estimate,
        makes=(Product("labels", (paths.LABELS,)),),
        settings={
            "data": job.data.fingerprint,
            "seed": job.config.seed,
            "paradigm": job.config.paradigm.model_dump(mode="json"),
            "classes": classes,
        },
        inputs=tuple(paradigm.embeddings),
    )


def with_found_labels(job: Job) -> Job:
    """Return the job with the labels that its `stages` found; final trainings and tests use the given labels."""
    paradigm = _paradigm(job)
    if paradigm is None:
        return job
    classes = _classes(job, paradigm)
    relabelled = Data(
        job.data.name,
        Relabelled(job.data.train, read_npy(job.run / paths.LABELS)),
        job.data.test,
        replace(
            job.data.info, num_classes=classes, class_names=tuple(str(label) for label in range(classes))
        ),
        job.data.faults,
    )
    return replace(job, data=relabelled)


def finds_labels(job: Job) -> bool:
    """Return whether the job trains its seeds on labels that it finds."""
    return _paradigm(job) is not None


def _paradigm(job: Job) -> Unsupervised | None:
    method = job.config.paradigm
    if method is None or method.name != "unsupervised":
        return None
    paradigm: Unsupervised = create("paradigm", method.name, **method.options)
    return paradigm


def _classes(job: Job, paradigm: Unsupervised) -> int:
    return paradigm.classes or job.data.info.num_classes or 0


def _inputs(job: Job) -> Tensor:
    """Return the raw inputs ``[N, D]``."""
    rows = torch.split(torch.arange(len(job.data.train)), _BATCH)
    batches = job.data.train.batches(rows, device=torch.device("cpu"))
    return torch.cat([batch.x.flatten(1) for batch in batches])
