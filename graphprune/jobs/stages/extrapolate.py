"""Fit each extrapolator on the seed scores and predict the scores of all samples."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch

from graphprune.config.base import Method
from graphprune.data.windows import WindowSamples
from graphprune.errors import InputError
from graphprune.extrapolate.base import Extrapolator, Inputs
from graphprune.jobs import paths
from graphprune.jobs.job import Job
from graphprune.jobs.methods import methods_of
from graphprune.jobs.stage import Attempt, Estimate, Product, Stage
from graphprune.jobs.stages.complexity import load_input_complexity, load_seed_errors, wants_seed_errors
from graphprune.jobs.stages.embed import load_embeddings, load_probes, makes_probes
from graphprune.jobs.stages.graph import load_graph
from graphprune.jobs.stages.looks import load_looks, wants_looks
from graphprune.jobs.stages.seed_run import table_metadata
from graphprune.jobs.stages.seeds import read_seeds
from graphprune.jobs.stages.short_run import load_short_run
from graphprune.registry import create, get
from graphprune.runtime.cost import Cost, measure
from graphprune.table import ScoreTable

if TYPE_CHECKING:
    from graphprune.jobs.plan.calibrate import Calibration


def load_inputs(job: Job) -> Inputs:
    """Return the inputs of the extrapolators."""
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


def stages(job: Job) -> Iterator[Stage]:
    """Yield the fit of every method on every score.

    A fit writes ``predictions/<score>/<method>.parquet`` (all samples, fitted on all seeds) and
    ``heldout/<score>/<method>.parquet`` (the held-out seeds, fitted on the others).
    """
    job = job.scored
    # Read once, by the first stage that has work to do.
    inputs = cache(lambda: load_inputs(job))
    for score in job.config.scores:
        for method in methods_of(job):
            yield _stage(job, inputs, score.name, method)


def needs_of(job: Job, score: str, method: str) -> tuple[str, ...]:
    """Return the products on which the method's order of the samples depends; the method pays for them."""
    cls = get("extrapolator", method)
    made = {
        "scores": f"scores/{score}",
        "embeddings": "embeddings",
        "graph": "graph",
        **({"probes": "probes"} if makes_probes(job) else {}),
        **({"looks": "looks"} if wants_looks(job) else {}),
        **({"short_run": "short_run"} if job.config.short_run is not None else {}),
        **({"input_complexity": "input_complexity"} if isinstance(job.data.train, WindowSamples) else {}),
        **({"seed_errors": "seed_errors"} if wants_seed_errors(job) else {}),
    }
    read = cls.reads
    if cls.reads_otherwise and not (made.keys() & set(read)) - {"scores"}:
        read = cls.reads_otherwise
    return tuple(made[name] for name in read if name in made)


def _stage(job: Job, inputs: Callable[[], Inputs], score: str, method: Method) -> Stage:
    name = f"extrapolate/{score}/{method.name}"
    final, heldout = (
        job.run / paths.prediction(score, method.name),
        job.run / paths.heldout(score, method.name),
    )

    def work(attempt: Attempt) -> Iterable[Path]:
        known = inputs()
        measured, seeds = ScoreTable.from_parquet(job.run / paths.score(score)), read_seeds(job)
        fit = measured.rows(seeds.fit)
        judge, cost, predict = Cost(), Cost(), Cost()
        with measure(judge):
            model = fit_extrapolator(method, known, fit.ids, fit.values, job.config.seed)
            values, std = model.predict(return_std=True)
        rows = np.searchsorted(known.sample_ids, measured.ids[seeds.heldout])
        metadata = table_metadata(job, score, extrapolator=method.model_dump(mode="json"))
        predicted = np.zeros(len(rows), dtype=bool)
        ScoreTable(known.sample_ids[rows], values[rows], predicted, std[rows], metadata).to_parquet(heldout)
        with measure(cost):
            model = fit_extrapolator(method, known, measured.ids, measured.values, job.config.seed)
        with measure(predict):
            values, std = model.predict(return_std=True)
        is_seed = np.isin(known.sample_ids, measured.ids, assume_unique=True)
        ScoreTable(known.sample_ids, values, is_seed, std, metadata).to_parquet(final)
        attempt.costs.update({f"{name}/judge": judge, f"{name}/fit": cost, f"{name}/predict": predict})
        return [final, heldout]

    def estimate(measured: Calibration) -> Estimate:
        n, seeds = len(job.data.train), len(read_seeds(job).ids)
        # Fitted once on part of the seeds for the evaluation, and once on all seeds.
        once = measured.methods.fits[method.name].cost_for(n)
        costs = {f"{name}/judge": once, f"{name}/fit": once, f"{name}/predict": Cost()}
        rows = n + job.config.seeds.heldout * seeds
        return Estimate(costs, disk_bytes=measured.methods.row_bytes * rows)

    return Stage(
        name,
        work,
        estimate,
        makes=(
            Product(
                f"predictions/{score}/{method.name}",
                (paths.prediction(score, method.name),),
                (f"{name}/fit", f"{name}/predict"),
            ),
            Product(
                f"heldout/{score}/{method.name}", (paths.heldout(score, method.name),), (f"{name}/judge",)
            ),
        ),
        # Every table contains the seeds' own scores, whatever the method uses.
        needs=tuple(dict.fromkeys(("seeds", f"scores/{score}", *needs_of(job, score, method.name)))),
        settings={
            "method": method.model_dump(mode="json"),
            "seed": job.config.seed,
            "data": job.data.fingerprint,
        },
    )


def fit_extrapolator(
    method: Method,
    inputs: Inputs,
    seed_ids: npt.NDArray[np.int64],
    seed_scores: npt.NDArray[np.float32],
    seed: int,
) -> Extrapolator:
    """Return a fitted extrapolator; methods that draw random numbers receive the job's seed."""
    model: Extrapolator = create("extrapolator", method.name, **method.options)
    if "seed" not in method.options and "seed" in model.get_params():
        model = create("extrapolator", method.name, **method.options, seed=seed)
    try:
        return model.fit(inputs, seed_ids, seed_scores)
    except InputError as error:
        raise InputError(f"extrapolator '{method.name}': {error}") from error
