"""Embed all samples, and keep what the seed model thinks of them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from graphprune.embed.module import embed_samples
from graphprune.embed.precomputed import read_embeddings
from graphprune.errors import InputError
from graphprune.files import require_finite, write_npy
from graphprune.ledger import Cost, measure
from graphprune.stages.job import Job
from graphprune.store import Attempt
from graphprune.train.checkpoint import load_weights


def embed_data(job: Job) -> None:
    """Writes ``embeddings.npy [N, D]`` float32 and, for a classifying seed model, ``probes.npy [1, N, C]``.

    A probe is out-of-sample for every sample but the seeds, whose scores are measured.
    """
    config = job.config.embedding
    weights = job.run / "checkpoints/seed.safetensors"
    inputs: dict[str, list[Path | None]] = {
        "seed_model": [weights],
        "reference": [config.weights],
        "file": [config.path],
        "statistics": [],
    }
    settings = {
        "data": job.data.fingerprint,
        "embedding": config.model_dump(mode="json"),
        "model": job.model_settings,
        "precision": job.config.seed_training.precision,
        "device": job.device.type,
    }

    def work(attempt: Attempt) -> Iterable[Path]:
        cost = attempt.costs["embed"] = Cost()
        with measure(cost):
            return _embed(job, cost)

    existing = [path for path in inputs[config.source] if path is not None]
    for path in existing:
        if not path.is_file():
            raise InputError(f"embedding: {path} does not exist; check the path")
    job.run.ensure("embed", settings=settings, inputs=existing, work=work)


def load_embeddings(job: Job) -> npt.NDArray[Any]:
    """The embeddings ``[N, D]``, memory-mapped."""
    return np.load(job.run / "embeddings.npy", mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]


def load_probes(job: Job) -> torch.Tensor | None:
    """The probes ``[1, N, C]``, if the run has any."""
    path = job.run / "probes.npy"
    return torch.from_numpy(np.load(path, allow_pickle=False)) if path in job.run.outputs("embed") else None


def _embed(job: Job, cost: Cost) -> list[Path]:
    config, path = job.config.embedding, job.run / "embeddings.npy"
    probes = job.run / "probes.npy"
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
            raise InputError("embedding.source: statistics is for windows of sensor data; use seed_model")
        write_npy(path, np.asarray(window_statistics(train)))
        return [path]
    reference = config.source == "reference"
    model = job.make_model("embed", method=config.model if reference else None)
    load_weights(
        model, config.weights if reference and config.weights else job.run / "checkpoints/seed.safetensors"
    )
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
    require_finite(embeddings.numpy(), "embeddings", train.ids)
    write_npy(path, embeddings.numpy())
    if outputs is None:
        return [path]
    write_npy(probes, torch.softmax(outputs, dim=1)[None].numpy())
    return [path, probes]
