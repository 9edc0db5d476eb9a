"""Build the kNN graph that all later stages use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from graphprune.graph.knn import KNNGraph, chosen_backend
from graphprune.jobs import paths
from graphprune.jobs.job import Job
from graphprune.jobs.stage import Attempt, Estimate, Product, Stage
from graphprune.jobs.stages.embed import load_embeddings
from graphprune.runtime.cost import Cost, measure

if TYPE_CHECKING:
    from graphprune.jobs.plan.calibrate import Calibration

_FILES = ("indices.npy", "distances.npy", "weights.npy", "graph.json")


def stages(job: Job) -> Iterator[Stage]:
    """Write ``graph/``: ``indices.npy``, ``distances.npy``, ``graph.json`` and, for windows, ``weights.npy``."""
    job = job.scored
    config, folder = job.config.graph, job.run / paths.GRAPH

    def work(attempt: Attempt) -> Iterable[Path]:
        cost = attempt.costs["graph"] = Cost()
        for name in _FILES:
            job.run.remove(folder / name)
        with measure(cost):
            graph = KNNGraph.build(
                load_embeddings(job),
                k=config.k,
                metric=config.metric,
                backend=config.backend,
                device=job.device,
                seed=job.config.seed,
            )
            _with_links(job, graph).save(folder)
        return [folder / name for name in _FILES if (folder / name).is_file()]

    def estimate(measured: Calibration) -> Estimate:
        n = len(job.data.train)
        power = 2.0 if chosen_backend(config.backend, n) == "exact" else 1.5
        return Estimate(
            {"graph": measured.methods.graph.cost_for(n, power=power)}, disk_bytes=8 * n * config.k
        )

    yield Stage(
        "graph",
        work,
        estimate,
        makes=(Product("graph", (paths.GRAPH,)),),
        needs=("embeddings",),
        settings={
            "graph": config.model_dump(mode="json"),
            "seed": job.config.seed,
            "data": job.data.fingerprint,
            "device": job.device.type,
        },
    )


def load_graph(job: Job) -> KNNGraph:
    """Return the graph with its embeddings attached."""
    return KNNGraph.load(job.run / paths.GRAPH, embeddings=torch.from_numpy(np.array(load_embeddings(job))))


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
