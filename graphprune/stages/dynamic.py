"""Arms whose sampler chooses while training, with what it asks for from the run."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from graphprune.config import ArmConfig
from graphprune.config_base import Method
from graphprune.errors import InputError
from graphprune.ledger import Cost
from graphprune.registry import create, get
from graphprune.samplers.base import EpochSampler, scores_by_row
from graphprune.stages.arms import Arm
from graphprune.stages.checks import FROM_RUN
from graphprune.stages.extrapolate import prediction_path
from graphprune.stages.job import Job
from graphprune.stages.overhead import sampler_cost
from graphprune.stages.reference import reference_values
from graphprune.stages.windows import told_by_windows
from graphprune.table import ScoreTable


def dynamic_arm(job: Job, arm: ArmConfig) -> Arm:
    """The arm of a config entry with a sampler; with a score, the sampler starts from the predicted ones."""
    assert arm.sampler is not None
    warm = job.config.starts_warm(arm)
    if arm.score is None:
        return sampler_arm(job, arm.name, arm.sampler, warm=warm)
    path = prediction_path(job.run, arm.score, arm.extrapolator)
    return sampler_arm(
        job,
        arm.name,
        arm.sampler,
        table=ScoreTable.from_parquet(path),
        predicted=(arm.score, arm.extrapolator),
        inputs=(path,),
        warm=warm,
    )


def sampler_arm(
    job: Job,
    name: str,
    method: Method,
    *,
    table: ScoreTable | None = None,
    predicted: tuple[str, str] | None = None,
    inputs: tuple[Path, ...] = (),
    warm: bool = False,
) -> Arm:
    """An arm that any registered sampler steers.

    Args:
        job: The job; its graph, embeddings and seed model's losses stand in for the options ``graph: run``,
            ``embeddings: run`` and ``reference_losses: run``; ``{weights: FILE, model: NAME}`` in place of
            ``run`` is a reference model of one's own (see `reference_values`), whose pass the arm pays for.
        name: Key in the metrics.
        method: Sampler and options.
        table: Scores for the sampler's argument ``scores``.
        predicted: Score and extrapolator that ``table`` came from, if the job paid for them.
        inputs: Files that ``table`` came from.
        warm: Whether training starts from the seed run's weights.

    Raises:
        InputError: the sampler takes no scores, or lacks something that it needs.
    """
    n, epochs = len(job.data.train), job.config.training.epochs
    options = dict(method.options)
    known = inspect.signature(get("sampler", method.name)).parameters
    if table is not None:
        if "scores" not in known:
            raise InputError(f"sampler '{method.name}' takes no scores; leave them out or use score_weighted")
        options["scores"] = scores_by_row(table, job.data.train.ids)
    uses = set()
    for option, part, load, files in (
        ("embeddings", "embedding", _embeddings, ("embeddings.npy",)),
        ("graph", "graph", _graph, ("graph/indices.npy", "graph/distances.npy")),
    ):
        if options.get(option) == FROM_RUN:
            options[option] = load(job)
            uses.add(part)
            inputs += tuple(job.run / name for name in files)
    looked = Cost()
    kinds: tuple[tuple[str, Literal["losses", "features"]], ...] = (
        ("reference_losses", "losses"),
        ("embeddings", "features"),
    )
    for option, kind in kinds:
        spec = options.get(option)
        if isinstance(spec, dict) or spec == FROM_RUN:
            options[option], cost, path = reference_values(job, spec, kind)
            uses |= {"seeds"} if spec == FROM_RUN else set()
            looked, inputs = looked + cost, (*inputs, path)
    score, extrapolator = predicted or (None, "")
    told, asked, answers = told_by_windows(job, method)
    options, looked, inputs = options | told, looked + asked, inputs + answers
    overhead = looked + sampler_cost(job, score=score, extrapolator=extrapolator, uses=uses, warm=warm)

    def make(seed: int) -> EpochSampler:
        sampler: EpochSampler = create("sampler", method.name, n=n, epochs=epochs, seed=seed, **options)
        return sampler

    make(0)
    identity = {"sampler": method.model_dump(mode="json"), "scores": table is not None}
    return Arm(name, None, epochs, make, identity, inputs, overhead=overhead, warm=warm)


def _embeddings(job: Job) -> Tensor:
    from graphprune.stages.embed import load_embeddings

    return torch.from_numpy(load_embeddings(job).copy())


def _graph(job: Job) -> Any:
    from graphprune.stages.graph import load_graph

    return load_graph(job)
