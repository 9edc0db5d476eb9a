"""Embed all samples, and keep the class probabilities of the seed model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from graphprune.embed.module import embed_samples
from graphprune.embed.precomputed import read_embeddings
from graphprune.errors import InputError
from graphprune.files import require_finite, write_npy
from graphprune.jobs import paths
from graphprune.jobs.job import Job
from graphprune.jobs.stage import Attempt, Estimate, Product, Stage
from graphprune.runtime.cost import Cost, measure
from graphprune.train.checkpoint import load_weights
from graphprune.train.divergence import refuse_infinite

if TYPE_CHECKING:
    from graphprune.jobs.plan.calibrate import Calibration


def stages(job: Job) -> Iterator[Stage]:
    """Write ``embeddings.npy [N, D]`` float32 and, for a classifying seed model, ``probes.npy [1, N, C]``.

    ``probes`` are class probabilities. They are out-of-sample for all samples but the seeds, whose scores are measured.
    """
    job = job.scored
    config = job.config.embedding
    given = {"reference": config.weights, "file": config.path}.get(config.source)
    classes = job.data.info.num_classes if makes_probes(job) else None

    def work(attempt: Attempt) -> Iterable[Path]:
        cost = attempt.costs["embed"] = Cost()
        with measure(cost):
            return _embed(job, cost)

    def estimate(measured: Calibration) -> Estimate:
        n, cost = len(job.data.train), measured.passes.embed.cost_for(len(job.data.train))
        if config.source in ("seed_model", "reference"):
            cost.forward_samples = n
        return Estimate(
            {"embed": cost}, disk_bytes=4 * n * (measured.passes.embeddings.shape[1] + (classes or 0))
        )

    probes = (Product("probes", (paths.PROBES,), ("embed",)),) if classes is not None else ()
    yield Stage(
        "embed",
        work,
        estimate,
        makes=(Product("embeddings", (paths.EMBEDDINGS,), ("embed",)), *probes),
        needs=("seed_model",) if config.source == "seed_model" else (),
        settings={
            "data": job.data.fingerprint,
            "embedding": config.model_dump(mode="json"),
            "model": job.model_settings,
            "precision": job.config.seed_training.precision,
            "device": job.device.type,
        },
        inputs=() if given is None else (given,),
    )


def makes_probes(job: Job) -> bool:
    """Return whether the seed model also provides class probabilities when it embeds all samples."""
    return job.config.embedding.source == "seed_model" and job.data.info.kind == "classification"


def load_embeddings(job: Job) -> npt.NDArray[Any]:
    """Return the embeddings ``[N, D]``, memory-mapped."""
    return np.load(job.run / paths.EMBEDDINGS, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]


def load_probes(job: Job) -> torch.Tensor | None:
    """Return the class probabilities ``[1, N, C]``, if the run has any."""
    path = job.run / paths.PROBES
    return torch.from_numpy(np.load(path, allow_pickle=False)) if path in job.run.outputs("embed") else None


def _embed(job: Job, cost: Cost) -> list[Path]:
    config, path = job.config.embedding, job.run / paths.EMBEDDINGS
    probes = job.run / paths.PROBES
    job.run.remove(probes)
    train = job.data.train
    if config.source == "file":
        assert config.path is not None
        write_npy(path, read_embeddings(config.path, ids=train.ids))
        return [path]
    if config.source == "statistics":
        from graphprune.data.windows import WindowSamples
        from graphprune.embed.windows import window_statistics

        if not isinstance(train, WindowSamples):
            raise InputError(
                "embedding.source: statistics is for windows of sensor data; set it to seed_model"
            )
        write_npy(path, np.asarray(window_statistics(train)))
        return [path]
    reference = config.source == "reference"
    model = job.make_model("embed", method=config.model if reference else None)
    load_weights(model, config.weights if reference and config.weights else job.run / paths.SEED_MODEL)
    precision = job.config.seed_training.precision
    keep = not reference and job.data.info.kind == "classification"
    embeddings, outputs = embed_samples(
        model,
        train,
        device=job.device,
        precision=precision,
        workers=job.config.seed_training.workers,
        keep_outputs=keep,
    )
    cost.forward_samples += len(train)
    if reference:
        require_finite(embeddings.numpy(), "embeddings", train.ids)
    else:
        refuse_infinite("run 'seed'", embeddings, outputs)
    write_npy(path, embeddings.numpy())
    if outputs is None:
        return [path]
    write_npy(probes, torch.softmax(outputs, dim=1)[None].numpy())
    return [path, probes]
