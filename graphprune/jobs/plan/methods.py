"""Measure the graph, the extrapolators, their evaluation and the selections in full on part of the samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from graphprune.config.base import Method
from graphprune.config.job import ArmConfig
from graphprune.errors import InputError
from graphprune.evaluation.agreement import evaluate
from graphprune.evaluation.audit import audit
from graphprune.extrapolate.base import EpochSignals, Inputs
from graphprune.graph.knn import KNNGraph
from graphprune.jobs.job import Job
from graphprune.jobs.methods import methods_of
from graphprune.jobs.plan.measured import Measured, Part, resident_mib, spread, timed
from graphprune.jobs.plan.passes import Passes
from graphprune.jobs.stages.audit import audit_lengths
from graphprune.jobs.stages.extrapolate import fit_extrapolator
from graphprune.jobs.stages.looks import wants_looks
from graphprune.registry import create
from graphprune.runtime.rng import generator
from graphprune.scores.signal_log import OF_CLASSES, OF_FORECASTS
from graphprune.table import ScoreTable

_FEW = 64
Scores = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Methods:
    """The measurements of `measure_methods`.

    Attributes:
        graph: The kNN search.
        fits: Fit and prediction of each extrapolator, by name.
        untried: Extrapolators that could not be measured; their time is estimated as zero.
        judge, audit: One evaluation of a predictor, and the additional cost of an audit.
        rules: One selection by the rule of each arm.
        row_bytes: Size of one row of a score table in Parquet.
    """

    graph: Measured
    fits: dict[str, Measured]
    untried: tuple[str, ...]
    judge: Measured
    audit: Measured | None
    rules: dict[str, Measured]
    row_bytes: float


def measure_methods(job: Job, part: Part, passes: Passes, scratch: Path) -> Methods:
    """Measure each method once, with the losses of ``passes`` as scores.

    Args:
        job: The job of the scoring stages.
        part: Part of its training samples.
        passes: The outputs of a model on them.
        scratch: Folder for a temporary table.
    """
    n, scores = len(part), passes.losses
    graph, search = timed(n, lambda: _graph(job, passes, n))
    inputs = _inputs(job, part, passes, n)
    few = _inputs(job, part, passes, min(n, _FEW))
    fits, untried = {}, []
    for method in methods_of(job):
        try:
            fits[method.name] = _fit(job, method, inputs, few, scores)
        except InputError:  # it needs an input that only the run provides
            fits[method.name] = Measured(n, 0.0, resident_mib(), resident_mib())
            untried.append(method.name)
    shuffled = scores[torch.randperm(n, generator=generator(0, "plan", "judge")).numpy()]
    _, judge = timed(n, lambda: evaluate(shuffled, scores, std=np.abs(scores), labels=part.labels))
    table = ScoreTable(inputs.sample_ids, scores, np.zeros(n, dtype=bool), np.abs(scores))
    table.to_parquet(scratch / "table.parquet")
    arms = [arm for arm in job.config.arms if arm.sampler is None]
    return Methods(
        graph=search,
        fits=fits,
        untried=tuple(untried),
        judge=judge,
        audit=_audit(job, scores, shuffled),
        rules={arm.name: _select(arm, table, part, graph, passes) for arm in arms},
        row_bytes=(scratch / "table.parquet").stat().st_size / n,
    )


def _graph(job: Job, passes: Passes, count: int) -> KNNGraph:
    config = job.config.graph
    k = min(config.k, count - 1)
    return KNNGraph.build(passes.embeddings[:count], k=k, metric=config.metric, device=job.device)


def _inputs(job: Job, part: Part, passes: Passes, count: int) -> Inputs:
    """Return the inputs of extrapolators for the first ``count`` samples of the part; epoch signals are constant."""
    info = job.data.info
    looks, names = torch.full((2, count), 0.5), OF_FORECASTS if info.num_classes is None else OF_CLASSES
    classes, windows = info.kind == "classification", info.kind == "forecasting"
    return Inputs(
        graph=_graph(job, passes, count),
        embeddings=passes.embeddings[:count],
        labels=None if part.labels is None else torch.from_numpy(part.labels[:count]),
        probes=torch.softmax(passes.outputs[:count], dim=1)[None] if classes else None,
        short_run=EpochSignals(**dict.fromkeys(names, looks.half())),
        seed_run=EpochSignals(p_true=looks, entropy=looks) if wants_looks(job) else None,
        input_complexity=torch.from_numpy(passes.losses[:count]) if windows else None,
        seed_errors=torch.from_numpy(passes.losses[:count]) if windows else None,
    )


def _fit(job: Job, method: Method, inputs: Inputs, few: Inputs, scores: Scores) -> Measured:
    def fit(known: Inputs) -> None:
        seeds = spread(known.n, max(_FEW // 2, round(job.config.seeds.fraction * known.n))).numpy()
        fit_extrapolator(method, known, seeds, scores[seeds], job.config.seed).predict(return_std=True)

    # A fit on a few samples loads the imports of the method, so that they are not measured.
    fit(few)
    return timed(inputs.n, lambda: fit(inputs))[1]


def _select(arm: ArmConfig, table: ScoreTable, part: Part, graph: KNNGraph, passes: Passes) -> Measured:
    rule = create("selection", arm.rule.name, **arm.rule.options)
    shares = np.linspace(0, 1, len(table), dtype=np.float32)
    second = None if arm.second_score is None else ScoreTable(table.ids, shares, table.measured)

    def select() -> None:
        rule.select(
            table,
            arm.keep,
            labels=part.labels,
            graph=graph,
            embeddings=passes.embeddings,
            second_scores=second,
        )

    return timed(len(part), select)[1]


def _audit(job: Job, scores: Scores, shuffled: Scores) -> Measured | None:
    config = job.config
    if config.audit is None:
        return None
    lengths = audit_lengths(config)
    truncated = [[scores] * len(lengths)] * config.audit.runs
    return timed(len(scores), lambda: audit(shuffled, truncated, lengths, config.training.epochs))[1]
