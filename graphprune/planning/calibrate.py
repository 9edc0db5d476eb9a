"""Short measurements with the job's own model and data, from which `predict` reckons the whole."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphprune.config import Config, Method, OptimisationConfig
from graphprune.data.base import Batch, Samples
from graphprune.embed.module import embed_samples, evaluation
from graphprune.embed.precomputed import read_embeddings
from graphprune.errors import InputError
from graphprune.extrapolate.base import Inputs, Looks
from graphprune.extrapolate.evaluate import evaluate
from graphprune.graph.knn import KNNGraph
from graphprune.ledger import Cost, measure
from graphprune.registry import create
from graphprune.rng import generator
from graphprune.samplers.static import StaticSampler
from graphprune.scores.recorder import Recorder
from graphprune.scores.signal_log import OF_CLASSES, OF_FORECASTS, SignalLog
from graphprune.select.base import SelectionRule
from graphprune.stages.extrapolate import fit_extrapolator
from graphprune.stages.job import Job
from graphprune.stages.methods import methods_of
from graphprune.table import ScoreTable
from graphprune.train.loop import train_model

# Each kind of training is measured for about so long; extrapolators and rules on so many samples.
_TARGET_SECONDS = 0.7
_SAMPLES = 1500
_BATCH = 512
_FEW = 64


@dataclass(frozen=True)
class Measured:
    """What one piece of work cost on ``n`` samples.

    Attributes:
        n: Samples that it was done for.
        seconds: Time of all of them.
        base_mib, peak_mib: Resident memory before, and the most while it ran.
    """

    n: int
    seconds: float
    base_mib: float
    peak_mib: float

    def seconds_for(self, n: float, *, power: float = 1.0) -> float:
        """Time for ``n`` samples where it grows with their number to ``power``."""
        return float(self.seconds * (n / self.n) ** power)

    def peak_for(self, n: float) -> float:
        """Peak in MiB where what was added to the base grows with the samples."""
        return self.base_mib + (self.peak_mib - self.base_mib) * max(1.0, n / self.n)


@dataclass(frozen=True)
class Calibration:
    """Everything that was measured; see `calibrate`.

    Attributes:
        training: ``seed``, ``oracle``, ``arm`` and ``short_run``: samples trained, with what records them.
        evaluation: ``seed`` and ``oracle``: the recorder's evaluation passes, where a score needs any.
        embed, test: Forward passes.
        graph: The search on a part of the samples.
        fits: Fit and prediction of each extrapolator by name.
        judge: One `graphprune.evaluate`.
        rules: One selection by each arm's rule.
        untried: Extrapolators that could not be tried; their time counts as none.
        dimensions: Of the embeddings.
        weight_bytes: Of one model.
        row_bytes: Of one row of a score table in Parquet.
        seconds: What all this took.
    """

    training: dict[str, Measured]
    evaluation: dict[str, Measured]
    embed: Measured
    test: Measured
    graph: Measured
    fits: dict[str, Measured]
    judge: Measured
    rules: dict[str, Measured]
    untried: tuple[str, ...]
    dimensions: int
    weight_bytes: int
    row_bytes: float
    seconds: float


class Part(Samples):
    """Some rows of other samples, as samples of their own."""

    def __init__(self, samples: Samples, rows: Tensor) -> None:
        self.samples, self.rows = samples, rows
        self.ids = samples.ids[rows.numpy()]
        self.labels = None if samples.labels is None else samples.labels[rows.numpy()]

    def batches(self, order: Iterable[Tensor], *, device: torch.device, workers: int = 0) -> Iterator[Batch]:
        wanted, asked = [], []
        for rows in order:
            asked.append(rows)
            wanted.append(self.rows[rows.cpu()])
        found = self.samples.batches(iter(wanted), device=device, workers=workers)
        for rows, batch in zip(asked, found, strict=True):
            yield Batch(rows.to(batch.rows.device), batch.x, batch.y)

    def digest(self) -> bytes:
        return self.samples.digest()


def calibrate(job: Job, scratch: Path) -> Calibration:
    """Measures the job's kinds of work for some seconds each; writes only to the folder ``scratch``.

    Trainings run on as many batches as take about 0.7 s, extrapolators and rules in full on at most 1,500
    samples whose scores are the calibrated model's losses.
    """
    start = time.perf_counter()
    config, info = job.config, job.data.info
    names = OF_FORECASTS if info.num_classes is None else OF_CLASSES
    arms = config.training.optimisation()
    recorded = {
        "seed": (config.seed_training, _scores(config)),
        "oracle": (arms, _scores(config)),
        "short_run": (arms, lambda: {"log": SignalLog(names=names)}),
        "arm": (arms, None),
    }
    wanted = {"seed": True, "oracle": config.oracle is not None, "short_run": config.short_run is not None}
    training, evaluated = {}, {}
    model = job.make_model("calibration")
    for kind, (settings, scores) in recorded.items():
        if not wanted.get(kind, True):
            continue
        training[kind], passes = _train(job, model, settings, scores)
        if passes is not None:
            evaluated[kind] = passes
    weights = sum(value.numel() * value.element_size() for value in model.state_dict().values())
    part = Part(job.data.train, _spread(len(job.data.train), _SAMPLES))
    test = Part(job.data.test, _spread(len(job.data.test), _SAMPLES))
    _, tested = _timed(len(test), lambda: _losses(job, model, test))
    (embeddings, outputs), embed = _timed(len(part), lambda: _embed(job, model, part))
    losses = _losses(job, model, part)
    k = min(config.graph.k, len(part) - 1)
    options: dict[str, Any] = {"metric": config.graph.metric, "device": job.device}
    graph, search = _timed(len(part), lambda: KNNGraph.build(embeddings, k=k, **options))
    labels = None if part.labels is None else torch.from_numpy(part.labels)
    probes = torch.softmax(outputs, dim=1)[None] if info.kind == "classification" else None

    def inputs_of(count: int) -> Inputs:
        known = graph
        if count < len(part):
            known = KNNGraph.build(embeddings[:count], k=min(k, count - 1), **options)
        return Inputs(
            graph=known,
            embeddings=embeddings[:count],
            labels=None if labels is None else labels[:count],
            probes=None if probes is None else probes[:, :count],
            short_run=Looks(**{name: torch.full((2, count), 0.5).half() for name in names}),
            input_complexity=torch.from_numpy(losses[:count]) if info.kind == "forecasting" else None,
        )

    inputs, few = inputs_of(len(part)), inputs_of(min(len(part), _FEW))
    fits, untried = {}, []
    for method in methods_of(job):
        try:
            fits[method.name] = _fit(job, method, inputs, few, losses)
        except InputError:  # it asks for more than can be stood in for; the run will have it
            fits[method.name] = Measured(len(part), 0.0, resident_mib(), resident_mib())
            untried.append(method.name)
    other = losses[torch.randperm(len(part), generator=generator(0, "plan", "judge")).numpy()]
    _, judge = _timed(len(part), lambda: evaluate(other, losses, std=np.abs(losses), labels=part.labels))
    predicted = np.zeros(len(part), dtype=bool)
    table = ScoreTable(inputs.sample_ids, losses, predicted, np.abs(losses))
    table.to_parquet(scratch / "table.parquet")
    rules = {}
    for arm in config.arms:
        if arm.sampler is None:
            rule = create("selection", arm.rule.name, **arm.rule.options)
            rules[arm.name] = _select(rule, table, arm.keep, part, graph, embeddings)
    return Calibration(
        training=training,
        evaluation=evaluated,
        embed=embed,
        test=tested,
        graph=search,
        fits=fits,
        judge=judge,
        rules=rules,
        untried=tuple(untried),
        dimensions=embeddings.shape[1],
        weight_bytes=weights,
        row_bytes=(scratch / "table.parquet").stat().st_size / len(part),
        seconds=time.perf_counter() - start,
    )


def resident_mib() -> float:
    """Memory of this process now; 0 where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return pages * 4096 / 2**20


def _scores(config: Config) -> Callable[[], dict[str, Any]]:
    return lambda: {score.name: create("score", score.name, **score.options) for score in config.scores}


def _train(
    job: Job,
    model: torch.nn.Module,
    settings: OptimisationConfig,
    scores: Callable[[], dict[str, Any]] | None,
) -> tuple[Measured, Measured | None]:
    """Time of a training epoch over part of the samples, and of the evaluation pass after it."""

    def attempt(count: int) -> tuple[Cost, Cost, float]:
        rows = _spread(len(job.data.train), count)
        recorder = None
        if scores is not None:
            recorder = Recorder(
                scores(),
                torch.from_numpy(job.data.train.ids[rows.numpy()]),
                epochs=int(settings.epochs),
                num_classes=job.data.info.num_classes,
                device=job.device,
            )
        base = resident_mib()
        result = train_model(
            model,
            job.data.train,
            job.paradigm_for(settings),
            StaticSampler(len(job.data.train), rows=rows, epochs=1, seed=0),
            settings.model_copy(update={"epochs": 1}),
            seed=0,
            device=job.device,
            recorder=recorder,
        )
        return result.cost, result.evaluation_cost, base

    n, batch = len(job.data.train), settings.batch_size
    # The first steps load kernels; those after them tell how many fit into the time.
    attempt(min(n, 2 * batch))
    count = min(n, 4 * batch)
    first = attempt(count)[0]
    count = min(n, max(count, int(count * _TARGET_SECONDS / max(first.seconds, 1e-4)) // batch * batch))
    train, passes, base = attempt(count)
    # Where all samples take less than the time, they are trained on again.
    while train.seconds < _TARGET_SECONDS:
        more, looks, _ = attempt(count)
        train, passes = train + more, passes + looks
    measured = Measured(train.trained_samples, train.seconds, base, train.peak_mib)
    if not passes.forward_samples:
        return measured, None
    return measured, Measured(passes.forward_samples, passes.seconds, base, passes.peak_mib)


def _embed(job: Job, model: torch.nn.Module, part: Part) -> tuple[Tensor, Tensor]:
    """Embeddings of the job's width; what a file or statistics hold is read, not computed."""
    config = job.config.embedding
    embeddings, outputs = embed_samples(
        model, part, device=job.device, precision=job.config.seed_training.precision
    )
    if config.source == "file" and config.path is not None:
        stored = read_embeddings(config.path, len(job.data.train))
        embeddings = torch.from_numpy(np.array(stored[part.rows.numpy()], dtype=np.float32))
    return embeddings, outputs


def _losses(job: Job, model: torch.nn.Module, part: Part) -> Any:
    """Losses ``[n]`` float32 of the model: what the scores of a real seed run look like."""
    paradigm = job.paradigm_for(job.config.seed_training)
    order = torch.split(torch.arange(len(part)), _BATCH)
    with evaluation(model):
        found = [
            paradigm.losses(model(batch.x).float(), batch.y)
            for batch in part.batches(order, device=job.device)
        ]
    return torch.cat(found).float().cpu().numpy()


def _fit(job: Job, method: Method, inputs: Inputs, few: Inputs, scores: Any) -> Measured:
    def fit(known: Inputs) -> None:
        seeds = _spread(known.n, max(_FEW // 2, round(job.config.seeds.fraction * known.n))).numpy()
        fit_extrapolator(method, known, seeds, scores[seeds], job.config.seed).predict(return_std=True)

    # What a method imports is loaded with a few samples, and not counted as often as it is fitted.
    fit(few)
    return _timed(inputs.n, lambda: fit(inputs))[1]


def _select(
    rule: SelectionRule, table: ScoreTable, keep: float, part: Part, graph: KNNGraph, embeddings: Tensor
) -> Measured:
    def select() -> None:
        rule.select(table, keep, labels=part.labels, graph=graph, embeddings=embeddings)

    return _timed(len(part), select)[1]


def _timed(n: int, work: Callable[[], Any]) -> tuple[Any, Measured]:
    """The second of two calls where the first is short: it, too, has to load what is loaded once."""
    cost = Cost()
    base = resident_mib()
    with measure(cost):
        result = work()
    if cost.seconds < 0.3:
        cost = Cost()
        with measure(cost):
            result = work()
    return result, Measured(n, cost.seconds, base, cost.peak_mib)


def _spread(n: int, count: int) -> Tensor:
    """At most ``count`` of ``n`` rows drawn at random, ascending; always the same ones."""
    if n < 2:
        raise InputError(f"there are {n} samples; a plan needs at least 2")
    return torch.randperm(n, generator=generator(0, "plan", n))[: min(n, count)].sort().values
