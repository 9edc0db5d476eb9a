"""Train with a recorder attached and write the scores: on the seeds, and on all samples for the oracle."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import torch

from graphprune.config.training import OptimizationConfig
from graphprune.jobs import paths
from graphprune.jobs.job import Job
from graphprune.jobs.plan.account import visits
from graphprune.jobs.stage import Attempt, Estimate, Product, Stage
from graphprune.jobs.stages.labels import finds_labels
from graphprune.jobs.stages.looks import looks_recorder, wants_looks, write_looks
from graphprune.jobs.stages.seeds import read_seeds
from graphprune.jobs.watched import train_watched
from graphprune.registry import create, get
from graphprune.runtime.cost import Cost
from graphprune.scores.base import Score
from graphprune.scores.group import RecorderGroup
from graphprune.scores.last_visits import LastVisits
from graphprune.scores.recorder import Recorder
from graphprune.table import ScoreTable
from graphprune.train.checkpoint import save_weights

if TYPE_CHECKING:
    from graphprune.jobs.plan.calibrate import Calibration


def stages(job: Job) -> Iterator[Stage]:
    """Yield the training on the seeds: ``scores/<score>.parquet``, ``checkpoints/seed.safetensors``, ``looks/``."""
    job = job.scored
    settings = job.config.seed_training

    def work(attempt: Attempt) -> Iterable[Path]:
        rows = np.searchsorted(job.data.train.ids, read_seeds(job).ids)
        return _train_and_score(job, attempt, rows, settings, "seed", job.run / "scores")

    # Users of a score that is recorded on evaluation passes also pay for these passes.
    passes = {"eval": ("seed_training_evaluation",)}
    scores = tuple(
        Product(
            f"scores/{name}",
            (paths.score(name),),
            ("seed_training", *passes.get(get("score", name).phase, ())),
        )
        for name in (score.name for score in job.config.scores)
    )
    looks = (Product("looks", (paths.LOOKS,), ("seed_training", "seed_looks")),) if wants_looks(job) else ()
    yield Stage(
        "score_seeds",
        work,
        lambda measured: _estimate_seed_run(job, measured),
        makes=(Product("seed_model", (paths.SEED_MODEL,), ("seed_training",)), *scores, *looks),
        needs=("seeds",),
        settings={
            **training_key(job, settings),
            "background": job.config.seeds.background,
            "looks": wants_looks(job),
        },
        together=True,
    )


def oracle_stages(job: Job) -> Iterator[Stage]:
    """Yield the runs on all data, trained like the arms: ``oracle/<run>/<score>.parquet``."""
    job = job.scored
    settings, n = job.config.training.optimization(), len(job.data.train)
    scores = [score.name for score in job.config.scores]

    def estimate(measured: Calibration, entry: str) -> Estimate:
        epochs = job.config.training.epochs
        costs = {entry: measured.trained(job, "oracle", visits(n, epochs))}
        if evaluates(job):
            costs[f"{entry}_evaluation"] = measured.evaluated(job, "oracle", n, int(epochs))
        disk = measured.weight_bytes + len(scores) * measured.methods.row_bytes * n
        return Estimate(costs, disk_bytes=disk)

    for number in range(job.config.oracle.runs if job.config.oracle else 0):
        name = f"oracle/{number}"

        def work(attempt: Attempt, name: str = name) -> Iterable[Path]:
            return _train_and_score(job, attempt, np.arange(n), settings, name, job.run / name)

        yield Stage(
            name,
            work,
            partial(estimate, entry=name),
            makes=tuple(
                Product(f"{name}/{score}", (paths.oracle(number, score),), (name,)) for score in scores
            ),
            needs=("labels",) if finds_labels(job) else (),
            settings={**training_key(job, settings), "run": number},
            together=True,
        )


def table_metadata(job: Job, score: str, **more: Any) -> dict[str, Any]:
    """Return the metadata of a score table."""
    method = next(s for s in job.config.scores if s.name == score)
    return {
        "score": score,
        "options": method.options,
        "fingerprint": job.data.fingerprint,
        "seed": job.config.seed,
        **more,
    }


def training_key(job: Job, training: OptimizationConfig) -> dict[str, Any]:
    """Return everything that the scores of a training depend on."""
    config = job.config
    return {
        "data": job.data.fingerprint,
        "seed": config.seed,
        "model": job.model_settings,
        "training": training.key(),
        "scores": [score.model_dump(mode="json") for score in config.scores],
        "device": job.device.type,
    }


def evaluates(job: Job) -> bool:
    """Return whether a score of the job is recorded on evaluation passes."""
    return any(get("score", score.name).phase == "eval" for score in job.config.scores)


def attached_scores(job: Job, ids: npt.NDArray[np.int64]) -> dict[str, Score]:
    """Create the scores of the config, by name, for samples with these ids."""
    return {
        score.name: create("score", score.name, **score.options, **_links(job, score.name, ids))
        for score in job.config.scores
    }


def _train_and_score(
    job: Job,
    attempt: Attempt,
    rows: npt.NDArray[np.int64],
    settings: OptimizationConfig,
    purpose: str,
    folder: Path,
) -> Iterable[Path]:
    config, data = job.config, job.data
    ids, epochs = data.train.ids[rows], int(settings.epochs)
    length: dict[str, Any] = {
        "epochs": epochs,
        "num_classes": data.info.num_classes,
        "device": job.device,
    }
    recorder = Recorder(attached_scores(job, ids), torch.from_numpy(ids), others="ignore", **length)
    looks = looks_recorder(job, length) if purpose == "seed" else None
    stage = "seed_training" if purpose == "seed" else purpose
    tracker = job.tracker(stage)
    model, result = train_watched(
        job,
        attempt,
        purpose,
        settings,
        recorder if looks is None else RecorderGroup(recorder, looks),
        rows=torch.from_numpy(rows),
        background=config.seeds.background if purpose == "seed" else 0.0,
        tracker=tracker,
    )
    if not attempt.writes:
        return []
    paths = []
    for name, values in recorder.values().items():
        tracker.histogram(name, values)
        path = folder / f"{name}.parquet"
        measured = np.ones(len(ids), dtype=bool)
        ScoreTable(ids, values.numpy(), measured, None, table_metadata(job, name)).to_parquet(path)
        paths.append(path)
    weights = job.run / f"checkpoints/{purpose}.safetensors"
    save_weights(model, weights)
    attempt.costs[stage] = result.cost
    if looks is not None:
        paths += write_looks(job, looks)
    if result.evaluation_cost.forward_samples:
        each = 1 + job.paradigm_for(settings).extra_observed
        own = epochs * round(len(ids) * each) if "eval" in recorder.phases else 0
        evaluation, passes = _split(result.evaluation_cost, own)
        attempt.costs |= {f"{stage}_evaluation": evaluation} if own else {}
        attempt.costs |= {"seed_looks": passes} if looks is not None else {}
    tracker.summary((result.cost + result.evaluation_cost).to_dict())
    tracker.close()
    return [*paths, weights]


def _estimate_seed_run(job: Job, measured: Calibration) -> Estimate:
    """Estimate the training on the seeds, its evaluation passes and its epoch signals."""
    config, settings, n = job.config, job.config.seed_training, len(job.data.train)
    seeds, epochs = len(read_seeds(job).ids), int(settings.epochs)
    an_epoch = seeds + min(n - seeds, round(config.seeds.background * seeds))
    costs = {"seed_training": measured.trained(job, "seed", visits(an_epoch, settings.epochs))}
    disk = measured.weight_bytes + len(config.scores) * measured.methods.row_bytes * seeds
    own = seeds if evaluates(job) else 0
    if own:
        costs["seed_training_evaluation"] = measured.evaluated(job, "seed", seeds, epochs)
    looks = looks_recorder(job, {"epochs": epochs, "num_classes": job.data.info.num_classes})
    if looks is not None:
        assert looks.eval_epochs is not None
        costs["seed_looks"] = measured.evaluated(job, "seed", n - own, len(looks.eval_epochs))
        disk += 8 * n * sum(score.visits for score in looks.scores.values() if isinstance(score, LastVisits))
    return Estimate(costs, disk_bytes=disk)


def _split(cost: Cost, own: int) -> tuple[Cost, Cost]:
    """Split the cost into the evaluation passes of the seeds and those of all samples, by the number of samples."""
    share = own / cost.forward_samples
    rest = cost.forward_samples - own
    return (
        Cost(cost.seconds * share, cost.peak_mib, 0, own),
        Cost(cost.seconds * (1 - share), cost.peak_mib, 0, rest),
    )


def _links(job: Job, score: str, ids: npt.NDArray[np.int64]) -> dict[str, torch.Tensor | None]:
    """Return the options that scores of sensor-time windows need about the other sensors."""
    from graphprune.data.windows import WindowSamples

    train = job.data.train
    if "links" not in inspect.signature(get("score", score)).parameters or not isinstance(
        train, WindowSamples
    ):
        return {}
    from graphprune.graph.spatiotemporal import linked_windows

    return {"links": linked_windows(train, ids)}
