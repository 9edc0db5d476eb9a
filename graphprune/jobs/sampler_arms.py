"""Arms whose sampler chooses while training, with what it asks for from the run."""

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
from graphprune.jobs.stages.windows import asks_windows, read_answers
from graphprune.registry import create
from graphprune.samplers.base import EpochSampler, scores_by_row
from graphprune.table import ScoreTable

Load = Callable[[], Any]


def dynamic_arm(job: Job, arm: ArmConfig) -> Arm:
    """The arm of a config entry with a sampler; with a score, the sampler starts from the predicted ones."""
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
    """An arm that any registered sampler steers.

    Args:
        job: The job; its graph, embeddings and seed model's losses stand in for the options ``graph: run``,
            ``embeddings: run`` and ``reference_losses: run``; ``{weights: FILE, model: NAME}`` in place of
            ``run`` is a reference model of one's own (see `reference_stage`), whose pass the arm pays for.
        name: Key in the metrics.
        method: Sampler and options.
        scores: Reads the table for the sampler's argument ``scores``.
        needs: The product that the table is, if the job paid for it.
        inputs: Files that it came from, if the job did not.
        warm: Whether training starts from the seed run's weights.

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
        return {**method.options, **loaded, **read_answers(job, method)}

    def make(seed: int) -> EpochSampler:
        sampler: EpochSampler = create("sampler", method.name, n=n, epochs=epochs, seed=seed, **options())
        return sampler

    asked = tuple(f"windows/{option}" for option in asks_windows(job.data.train, method))
    read = tuple(need for _, need in loaders.values() if need is not None)
    return Arm(
        name,
        None,
        epochs,
        make,
        {"sampler": method.model_dump(mode="json"), "scores": scores is not None},
        needs=(*needs, *read, *asked, *(("seed_model",) if warm else ())),
        inputs=inputs,
        warm=warm,
        stand_in=partial(stand_in, method, n, epochs, scored=scores is not None),
    )


def _loaders(job: Job, method: Method) -> dict[str, tuple[Load, str | None]]:
    """What the run computes for the sampler: how each option is read, and the product that it is."""
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
