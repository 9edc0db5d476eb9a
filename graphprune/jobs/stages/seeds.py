"""Draw the seeds, and hold out part of them to evaluate the extrapolators."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from graphprune.data.images import stratified
from graphprune.errors import InputError
from graphprune.files import write_atomic
from graphprune.jobs import paths
from graphprune.jobs.job import Job
from graphprune.jobs.stage import Attempt, Estimate, Product, Stage
from graphprune.jobs.stages.labels import finds_labels
from graphprune.runtime.cost import Cost, measure
from graphprune.runtime.rng import derive_seed, generator


@dataclass(frozen=True)
class Seeds:
    """The ids of all seeds ``[M]`` in ascending order, and which of them are held out ``[M]`` bool.

    For windows there is a gap of window + horizon around the held-out blocks; ``fit`` excludes the gap.
    """

    ids: npt.NDArray[np.int64]
    heldout: npt.NDArray[np.bool_]
    fit: npt.NDArray[np.bool_]


def stages(job: Job) -> Iterator[Stage]:
    """Write ``seeds.parquet``: ``sample_id, role`` with role ``fit``, ``heldout`` or (windows) ``gap``."""
    job = job.scored
    config, path = job.config, job.run / paths.SEEDS

    def work(attempt: Attempt) -> Iterable[Path]:
        cost = attempt.costs["seeds"] = Cost()
        with measure(cost):
            rows, roles = _draw(job)
            table = pa.table({"sample_id": job.data.train.ids[rows], "role": roles})
            write_atomic(path, lambda p: pq.write_table(table, p))
        return [path]

    yield Stage(
        "seeds",
        work,
        # A plan draws them, because all later estimates depend on their number.
        lambda measured: Estimate({"seeds": measured.seeds}),
        makes=(Product("seeds", (paths.SEEDS,)),),
        needs=("labels",) if finds_labels(job) else (),
        settings={
            "data": job.data.fingerprint,
            "seed": config.seed,
            "seeds": config.seeds.model_dump(mode="json"),
            "windows": [config.data.window, config.data.horizon] if config.data.kind == "sensors" else None,
        },
    )


def read_seeds(job: Job) -> Seeds:
    """Return the drawn seeds."""
    table = pq.read_table(job.run / paths.SEEDS)
    roles = np.asarray(table["role"].to_pylist())
    return Seeds(table["sample_id"].to_numpy(), roles == "heldout", roles == "fit")


def _draw(job: Job) -> tuple[npt.NDArray[np.int64], list[str]]:
    config, train = job.config, job.data.train
    labels = train.labels
    forecasting = job.data.info.kind == "forecasting"
    draw = config.seeds.draw or ("time_blocks" if forecasting else "stratified")
    count = round(config.seeds.fraction * len(train))
    if count < 2:
        raise InputError(
            f"seeds.fraction {config.seeds.fraction:g} of {len(train)} samples gives {count} seeds; raise it"
        )
    if draw == "time_blocks":
        if not forecasting:
            raise InputError(
                "seeds.draw: time_blocks is for windows of sensor data; use stratified or uniform"
            )
        return _draw_blocks(job)
    seed = derive_seed(config.seed, "seeds")
    if draw == "uniform" or labels is None:
        rows = torch.randperm(len(train), generator=generator(seed, "uniform"))[:count].sort().values.numpy()
    else:
        rows = stratified(labels, count, purpose="seeds", seed=seed)
    heldout_count = max(1, round(config.seeds.heldout * count))
    if draw == "stratified" and labels is not None:
        heldout = stratified(labels[rows], heldout_count, purpose="heldout", seed=seed)
    else:
        heldout = torch.randperm(count, generator=generator(seed, "heldout"))[:heldout_count].numpy()
    roles = np.full(count, "fit", dtype=object)
    roles[heldout] = "heldout"
    return rows, roles.tolist()


def _draw_blocks(job: Job) -> tuple[npt.NDArray[np.int64], list[str]]:
    from graphprune.data.timesplit import draw_time_blocks, heldout_blocks
    from graphprune.data.windows import WindowSamples

    seeds, train = job.config.seeds, job.data.train
    if not isinstance(train, WindowSamples):
        raise InputError(
            "seeds.draw: time_blocks needs windows read by graphprune; use uniform for other data"
        )
    span = {"window": train.window, "horizon": train.horizon, "delay": train.delay}
    seed = derive_seed(job.config.seed, "seeds")
    rows = draw_time_blocks(train.starts, seeds.fraction, generator=generator(seed, "blocks"), **span)
    fit, heldout = heldout_blocks(
        train.starts[rows], seeds.heldout, generator=generator(seed, "heldout"), **span
    )
    roles = np.full(len(rows), "gap", dtype=object)
    roles[fit], roles[heldout] = "fit", "heldout"
    return rows, roles.tolist()
