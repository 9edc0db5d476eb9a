"""Find labels where the paradigm uses none that were given."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from graphprune.data.base import Data
from graphprune.data.relabelled import Relabelled
from graphprune.embed.precomputed import read_embeddings
from graphprune.errors import InputError
from graphprune.files import must_exist, read_npy, write_npy
from graphprune.ledger import Cost, measure
from graphprune.registry import create
from graphprune.rng import derive_seed
from graphprune.stages.job import Job
from graphprune.store import Attempt
from graphprune.train.paradigms.unsupervised import Unsupervised

_BATCH = 512


def without_labels(job: Job) -> Job:
    """The job as the scoring stages must see it: itself, or for ``unsupervised`` with labels that were found.

    Writes ``labels.npy [N]``. The final trainings and the test keep the data's own labels.
    """
    method = job.config.paradigm
    if method is None or method.name != "unsupervised":
        return job
    train, info, path = job.data.train, job.data.info, job.run / "labels.npy"
    paradigm: Unsupervised = create("paradigm", method.name, **method.options)
    classes = paradigm.classes or info.num_classes or 0
    for file in paradigm.embeddings:
        must_exist(file)

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
                    "unsupervised: all samples got one label; give better embeddings or a larger gamma"
                )
            write_npy(path, labels.cpu().numpy())
        return [path]

    settings = {
        "data": job.data.fingerprint,
        "seed": job.config.seed,
        "paradigm": method.model_dump(mode="json"),
        "classes": classes,
    }
    job.run.ensure("labels", settings=settings, inputs=paradigm.embeddings, work=work)
    names = tuple(str(label) for label in range(classes))
    relabelled = Data(
        job.data.name,
        Relabelled(train, read_npy(path)),
        job.data.test,
        replace(info, num_classes=classes, class_names=names),
        job.data.faults,
    )
    return replace(job, data=relabelled)


def _inputs(job: Job) -> Tensor:
    """The inputs ``[N, D]`` as they are."""
    rows = torch.split(torch.arange(len(job.data.train)), _BATCH)
    batches = job.data.train.batches(rows, device=torch.device("cpu"))
    return torch.cat([batch.x.flatten(1) for batch in batches])
