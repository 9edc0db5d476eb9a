"""Arms whose sampler selects samples during training, and the inputs that the run computes for it."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from graphprune.config.base import Method
from graphprune.config.job import ArmConfig
from graphprune.jobs import paths
from graphprune.jobs.arms import Arm
from graphprune.jobs.checks import stand_in
from graphprune.jobs.job import FROM_RUN, Job
from graphprune.jobs.stages.embed import load_embeddings
from graphprune.jobs.stages.graph import load_graph
from graphprune.jobs.stages.reference import read_reference, reference_key
from graphprune.jobs.stages.windows import read_window_options, window_options
from graphprune.registry import create
from graphprune.samplers.base import EpochSampler, scores_by_row
from graphprune.table import ScoreTable

Load = Callable[[], Any]


def dynamic_arm(job: Job, arm: ArmConfig) -> Arm:
    """Return the arm of a config entry with a sampler; if it names a score, the sampler starts from the predictions."""
    assert arm.sampler is not None
    warm = job.config.starts_warm(arm)
    if arm.score is None:
        return sampler_arm(job, arm.name, arm.sampler, warm=warm)
    return sampler_arm(
        job,
        arm.name,
        arm.sampler,
        scores=partial(ScoreTable.from_parquet, job.run / paths.prediction(arm.score, arm.extrapolator)),
        needs=(f"predictions/{arm.score}/{arm.extrapolator}",),
        warm=warm,
    )


def sampler_arm(
    job: Job,
    name: str,
    method: Method,
    *,
    scores: Callable[[], ScoreTable] | None = None,
    needs: tuple[str, ...] = (),
    inputs: tuple[Path, ...] = (),
    warm: bool = False,
) -> Arm:
    """Return an arm that trains with any registered sampler.

    Args:
        job: The job; its graph, embeddings and seed model's losses are the values of the options ``graph: run``,
            ``embeddings: run`` and ``reference_losses: run``. ``{weights: FILE, model: NAME}`` instead of ``run``
            names a reference model (see `reference_stage`); the arm pays for its pass over the data.
        name: Key of the arm in ``metrics.json``.
        method: Sampler and options.
        scores: Function that reads the table for the sampler's argument ``scores``.
        needs: The product that contains the table, if the job computed it.
        inputs: The files of the table, if the user provided it.
        warm: Whether training starts from the weights of the seed run.

    Raises:
        InputError: the sampler takes no scores.
    """
    n, epochs = len(job.data.train), job.config.training.epochs
    loaders = _loaders(job, method)
    if scores is not None:
        loaders["scores"] = lambda: scores_by_row(scores(), job.data.train.ids), None

    @cache
    def options() -> dict[str, Any]:
        loaded = {option: load() for option, (load, _) in loaders.items()}
        return {**method.options, **loaded, **read_window_options(job, method)}

    def make(seed: int) -> EpochSampler:
        sampler: EpochSampler = create("sampler", method.name, n=n, epochs=epochs, seed=seed, **options())
        return sampler

    from_windows = tuple(f"windows/{option}" for option in window_options(job.data.train, method))
    read = tuple(need for _, need in loaders.values() if need is not None)
    return Arm(
        name,
        None,
        epochs,
        make,
        {"sampler": method.model_dump(mode="json"), "scores": scores is not None},
        needs=(*needs, *read, *from_windows, *(("seed_model",) if warm else ())),
        inputs=inputs,
        warm=warm,
        stand_in=partial(stand_in, method, n, epochs, scored=scores is not None),
    )


def _loaders(job: Job, method: Method) -> dict[str, tuple[Load, str | None]]:
    """Return the options that the run computes: how each is read, and the product that contains it."""
    found: dict[str, tuple[Load, str | None]] = {}
    kinds: tuple[tuple[str, Literal["losses", "features"]], ...] = (
        ("reference_losses", "losses"),
        ("embeddings", "features"),
    )
    for option, kind in kinds:
        spec = method.options.get(option)
        if isinstance(spec, dict) or (spec == FROM_RUN and kind == "losses"):
            found[option] = (
                partial(read_reference, job, spec, kind),
                f"reference/{reference_key(spec)}",
            )
    if method.options.get("embeddings") == FROM_RUN:
        found["embeddings"] = lambda: torch.from_numpy(np.array(load_embeddings(job))), "embeddings"
    if method.options.get("graph") == FROM_RUN:
        found["graph"] = lambda: load_graph(job), "graph"
    return found
