"""Select the samples of each arm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from graphprune.config.job import ArmConfig
from graphprune.jobs import paths
from graphprune.jobs.job import Job
from graphprune.jobs.run_folder import RunFolder
from graphprune.jobs.stage import Attempt, Estimate, Product, Stage
from graphprune.jobs.stages.embed import load_embeddings
from graphprune.jobs.stages.graph import load_graph
from graphprune.registry import create, get
from graphprune.runtime.cost import Cost, measure
from graphprune.runtime.rng import derive_seed
from graphprune.select.base import Selection, count_kept
from graphprune.table import ScoreTable

if TYPE_CHECKING:
    from graphprune.jobs.plan.calibrate import Calibration


def stages(job: Job) -> Iterator[Stage]:
    """Write ``selections/<arm>.parquet`` for every arm with a rule."""
    for arm in job.config.arms:
        if arm.sampler is None:
            yield _stage(job.scored, arm)


def _stage(job: Job, arm: ArmConfig) -> Stage:
    assert arm.score is not None
    name, path = f"select/{arm.name}", job.run / paths.selection(arm.name)
    scores = [score for score in (arm.score, arm.second_score) if score is not None]
    tables = [job.run / paths.prediction(score, arm.extrapolator) for score in scores]
    reads = [what for what in ("graph", "embeddings") if what in get("selection", arm.rule.name).requires]
    seed = derive_seed(job.config.seed, "select", arm.name)

    def work(attempt: Attempt) -> Iterable[Path]:
        cost = attempt.costs[name] = Cost()
        with measure(cost):
            rule = create("selection", arm.rule.name, **arm.rule.options)
            table, *second = map(ScoreTable.from_parquet, tables)
            selection = rule.select(
                table,
                arm.keep,
                labels=job.data.train.labels,
                graph=load_graph(job) if "graph" in reads else None,
                embeddings=torch.from_numpy(np.array(load_embeddings(job))) if reads else None,
                second_scores=second[0] if second else None,
                seed=seed,
            )
            selection.to_parquet(path)
        return [path]

    def estimate(measured: Calibration) -> Estimate:
        n = len(job.data.train)
        cost = measured.methods.rules[arm.name].cost_for(n)
        return Estimate({name: cost}, disk_bytes=12 * count_kept(n, arm.keep))

    return Stage(
        name,
        work,
        estimate,
        makes=(Product(name, (paths.selection(arm.name),)),),
        needs=(*(f"predictions/{score}/{arm.extrapolator}" for score in scores), *reads),
        settings={"arm": arm.model_dump(mode="json"), "seed": seed, "data": job.data.fingerprint},
    )


def read_selection(run: RunFolder, arm: str) -> Selection:
    """Return the selection of an arm."""
    return Selection.from_parquet(run / paths.selection(arm))
