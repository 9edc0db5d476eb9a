"""Build the one kNN graph that everything downstream uses."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from graphprune.graph.knn import KNNGraph
from graphprune.ledger import Cost, measure
from graphprune.stages.embed import load_embeddings
from graphprune.stages.job import Job
from graphprune.store import Attempt

_FILES = ("indices.npy", "distances.npy", "weights.npy", "graph.json")


def build_graph(job: Job) -> None:
    """Writes ``graph/``: ``indices.npy``, ``distances.npy``, ``graph.json`` and, for windows, ``weights.npy``."""
    config = job.config.graph
    folder = job.run / "graph"
    embeddings_path = job.run / "embeddings.npy"

    def work(attempt: Attempt) -> Iterable[Path]:
        cost = attempt.costs["graph"] = Cost()
        for name in _FILES:
            job.run.remove(folder / name)
        with measure(cost):
            embeddings = load_embeddings(job)
            graph = KNNGraph.build(
                embeddings,
                k=config.k,
                metric=config.metric,
                backend=config.backend,
                device=job.device,
                seed=job.config.seed,
            )
            graph = _with_links(job, graph)
            graph.save(folder)
        return [folder / name for name in _FILES if (folder / name).is_file()]

    settings = {
        "graph": config.model_dump(mode="json"),
        "seed": job.config.seed,
        "data": job.data.fingerprint,
        "device": job.device.type,
    }
    job.run.ensure("graph", settings=settings, inputs=[embeddings_path], work=work)


def load_graph(job: Job) -> KNNGraph:
    """The graph with its embeddings attached."""
    return KNNGraph.load(job.run / "graph", embeddings=torch.from_numpy(np.array(load_embeddings(job))))


def _with_links(job: Job, graph: KNNGraph) -> KNNGraph:
    from graphprune.data.windows import WindowSamples

    train, config = job.data.train, job.config.graph
    if not isinstance(train, WindowSamples):
        return graph
    from graphprune.graph.spatiotemporal import spatiotemporal_graph

    return spatiotemporal_graph(
        graph,
        train.ids,
        granularity=train.granularity,
        n_sensors=train.n_sensors,
        links=train.series.links,
        temporal_weight=config.temporal_weight,
        sensor_weight=config.sensor_weight,
    )
