"""Select what each arm trains on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch

from graphprune.config import ArmConfig
from graphprune.ledger import Cost, measure
from graphprune.registry import create
from graphprune.rng import derive_seed
from graphprune.select.base import Selection
from graphprune.stages.embed import load_embeddings
from graphprune.stages.extrapolate import prediction_path
from graphprune.stages.graph import load_graph
from graphprune.stages.job import Job
from graphprune.store import Attempt, RunFolder
from graphprune.table import ScoreTable


def select_samples(job: Job, arm: ArmConfig) -> None:
    """Writes ``selections/<arm>.parquet``."""
    assert arm.score is not None
    source, path = prediction_path(job.run, arm.score, arm.extrapolator), selection_path(job.run, arm.name)
    second = None
    if arm.second_score is not None:
        second = prediction_path(job.run, arm.second_score, arm.extrapolator)
    seed = derive_seed(job.config.seed, "select", arm.name)

    def work(attempt: Attempt) -> Iterable[Path]:
        cost = attempt.costs[f"select/{arm.name}"] = Cost()
        with measure(cost):
            rule = create("selection", arm.rule.name, **arm.rule.options)
            selection = rule.select(
                ScoreTable.from_parquet(source),
                arm.keep,
                labels=job.data.train.labels,
                graph=load_graph(job),
                embeddings=torch.from_numpy(np.array(load_embeddings(job))),
                second_scores=None if second is None else ScoreTable.from_parquet(second),
                seed=seed,
            )
            selection.to_parquet(path)
        return [path]

    settings = {"arm": arm.model_dump(mode="json"), "seed": seed, "data": job.data.fingerprint}
    inputs = [source, *([] if second is None else [second]), *job.run.outputs("graph")]
    job.run.ensure(f"select/{arm.name}", settings=settings, inputs=inputs, work=work)


def selection_path(run: RunFolder, arm: str) -> Path:
    """Where an arm's selection is."""
    return run / f"selections/{arm}.parquet"


def read_selection(run: RunFolder, arm: str) -> Selection:
    """An arm's selection."""
    return Selection.from_parquet(selection_path(run, arm))
