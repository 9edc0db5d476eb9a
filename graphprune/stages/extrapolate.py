"""Fit each extrapolator on the seeds' scores and predict everybody's."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from graphprune.config_base import Method
from graphprune.errors import InputError
from graphprune.extrapolate.base import Extrapolator, Inputs
from graphprune.ledger import Cost, measure
from graphprune.registry import create
from graphprune.stages.complexity import load_input_complexity, load_seed_errors
from graphprune.stages.embed import load_embeddings, load_probes
from graphprune.stages.graph import load_graph
from graphprune.stages.job import Job
from graphprune.stages.looks import load_looks, looks_paths
from graphprune.stages.score import score_path, table_metadata
from graphprune.stages.seeds import read_seeds
from graphprune.stages.short_run import load_short_run
from graphprune.store import Attempt, RunFolder
from graphprune.table import ScoreTable


def load_inputs(job: Job) -> Inputs:
    """What the extrapolators may look at."""
    labels = job.data.train.labels
    return Inputs(
        graph=load_graph(job),
        embeddings=torch.from_numpy(np.array(load_embeddings(job))),
        ids=job.data.train.ids,
        labels=None if labels is None else torch.from_numpy(labels),
        probes=load_probes(job),
        short_run=load_short_run(job),
        seed_run=load_looks(job),
        input_complexity=load_input_complexity(job),
        seed_errors=load_seed_errors(job),
    )


def extrapolate(job: Job, inputs: Inputs, score: str, method: Method) -> None:
    """Writes ``predictions/<score>/<method>.parquet`` (all samples, fitted on all seeds) and
    ``heldout/<score>/<method>.parquet`` (the held-out seeds, fitted on the others).
    """
    final, heldout = prediction_path(job.run, score, method.name), heldout_path(job.run, score, method.name)

    def work(attempt: Attempt) -> Iterable[Path]:
        measured = ScoreTable.from_parquet(score_path(job.run, score))
        seeds = read_seeds(job)
        fit = measured.rows(seeds.fit)
        judge, cost = Cost(), Cost()
        with measure(judge):
            model = fit_extrapolator(method, inputs, fit.ids, fit.values, job.config.seed)
            values, std = model.predict(return_std=True)
        rows = np.searchsorted(inputs.sample_ids, measured.ids[seeds.heldout])
        metadata = table_metadata(job, score, extrapolator=method.model_dump(mode="json"))
        predicted = np.zeros(len(rows), dtype=bool)
        ScoreTable(inputs.sample_ids[rows], values[rows], predicted, std[rows], metadata).to_parquet(heldout)
        with measure(cost):
            model = fit_extrapolator(method, inputs, measured.ids, measured.values, job.config.seed)
        predict = Cost()
        with measure(predict):
            values, std = model.predict(return_std=True)
        is_seed = np.isin(inputs.sample_ids, measured.ids, assume_unique=True)
        ScoreTable(inputs.sample_ids, values, is_seed, std, metadata).to_parquet(final)
        name = f"extrapolate/{score}/{method.name}"
        attempt.costs.update({f"{name}/judge": judge, f"{name}/fit": cost, f"{name}/predict": predict})
        return [final, heldout]

    probes = [path for path in job.run.outputs("embed") if path.name == "probes.npy"]
    short_run = job.run.outputs("short_run") if job.config.short_run else []
    errors = [] if inputs.seed_errors is None else [job.run / "seed_errors.npy"]
    job.run.ensure(
        f"extrapolate/{score}/{method.name}",
        settings={
            "method": method.model_dump(mode="json"),
            "seed": job.config.seed,
            "data": job.data.fingerprint,
        },
        inputs=[
            score_path(job.run, score),
            job.run / "seeds.parquet",
            job.run / "embeddings.npy",
            *job.run.outputs("graph"),
            *probes,
            *short_run,
            *looks_paths(job),
            *errors,
        ],
        work=work,
    )


def fit_extrapolator(
    method: Method,
    inputs: Inputs,
    seed_ids: npt.NDArray[np.int64],
    seed_scores: npt.NDArray[np.float32],
    seed: int,
) -> Extrapolator:
    """A fitted extrapolator; methods that draw random numbers get the job's seed."""
    model: Extrapolator = create("extrapolator", method.name, **method.options)
    if "seed" not in method.options and "seed" in model.get_params():
        model = create("extrapolator", method.name, **method.options, seed=seed)
    try:
        return model.fit(inputs, seed_ids, seed_scores)
    except InputError as error:
        raise InputError(f"extrapolator '{method.name}': {error}") from error


def prediction_path(run: RunFolder, score: str, method: str) -> Path:
    """Where a method's scores of all samples are."""
    return run / f"predictions/{score}/{method}.parquet"


def heldout_path(run: RunFolder, score: str, method: str) -> Path:
    """Where a method's predictions of the held-out seeds are."""
    return run / f"heldout/{score}/{method}.parquet"
