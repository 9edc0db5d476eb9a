"""Train with a recorder attached and write the scores: on the seeds, and on everything for the oracle."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from graphprune.config_training import OptimisationConfig
from graphprune.ledger import Cost
from graphprune.registry import create, get
from graphprune.scores.base import Score
from graphprune.scores.group import RecorderGroup
from graphprune.scores.recorder import Recorder
from graphprune.stages.job import Job
from graphprune.stages.looks import looks_recorder, wants_looks, write_looks
from graphprune.stages.seeds import read_seeds
from graphprune.stages.watched import train_watched
from graphprune.store import Attempt, RunFolder
from graphprune.table import ScoreTable
from graphprune.train.checkpoint import save_weights


def score_seeds(job: Job) -> None:
    """Trains on the seeds; writes ``scores/<score>.parquet`` and ``checkpoints/seed.safetensors``."""

    def work(attempt: Attempt) -> Iterable[Path]:
        seeds = read_seeds(job)
        rows = np.searchsorted(job.data.train.ids, seeds.ids)
        return _train_and_score(job, attempt, rows, job.config.seed_training, "seed", job.run / "scores")

    settings = {
        **training_key(job, job.config.seed_training),
        "background": job.config.seeds.background,
        "looks": wants_looks(job),
    }
    job.run.ensure(
        "score_seeds", settings=settings, inputs=[job.run / "seeds.parquet"], work=work, together=True
    )


def score_everything(job: Job, run: int) -> None:
    """One full-data run of the oracle, trained as the arms are; writes ``oracle/<run>/<score>.parquet``."""
    training = job.config.training.optimisation()

    def work(attempt: Attempt) -> Iterable[Path]:
        rows = np.arange(len(job.data.train))
        return _train_and_score(job, attempt, rows, training, f"oracle/{run}", job.run / f"oracle/{run}")

    settings = {**training_key(job, training), "run": run}
    job.run.ensure(f"oracle/{run}", settings=settings, inputs=[], work=work, together=True)


def score_path(run: RunFolder, score: str) -> Path:
    """Where the seeds' measured scores are."""
    return run / f"scores/{score}.parquet"


def table_metadata(job: Job, score: str, **more: Any) -> dict[str, Any]:
    """What a score table says of its origin."""
    method = next(s for s in job.config.scores if s.name == score)
    return {
        "score": score,
        "options": method.options,
        "fingerprint": job.data.fingerprint,
        "seed": job.config.seed,
        **more,
    }


def training_key(job: Job, training: OptimisationConfig) -> dict[str, Any]:
    """What the scores of a training depend on."""
    config = job.config
    return {
        "data": job.data.fingerprint,
        "seed": config.seed,
        "model": job.model_settings,
        "training": training.key(),
        "scores": [score.model_dump(mode="json") for score in config.scores],
        "device": job.device.type,
    }


def attached_scores(job: Job, ids: npt.NDArray[np.int64]) -> dict[str, Score]:
    """New scores of the config, by name, for samples with these ids."""
    return {
        score.name: create("score", score.name, **score.options, **_links(job, score.name, ids))
        for score in job.config.scores
    }


def _train_and_score(
    job: Job,
    attempt: Attempt,
    rows: npt.NDArray[np.int64],
    settings: OptimisationConfig,
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


def _split(cost: Cost, own: int) -> tuple[Cost, Cost]:
    """The seeds' own evaluation passes, and the rest: the passes over everything; time goes by samples."""
    share = own / cost.forward_samples
    rest = cost.forward_samples - own
    return (
        Cost(cost.seconds * share, cost.peak_mib, 0, own),
        Cost(cost.seconds * (1 - share), cost.peak_mib, 0, rest),
    )


def _links(job: Job, score: str, ids: npt.NDArray[np.int64]) -> dict[str, torch.Tensor | None]:
    """What scores of sensor-time windows that ask for it are told of the other sensors."""
    from graphprune.data.windows import WindowSamples

    train = job.data.train
    if "links" not in inspect.signature(get("score", score)).parameters or not isinstance(
        train, WindowSamples
    ):
        return {}
    from graphprune.graph.spatiotemporal import linked_windows

    return {"links": linked_windows(train, ids)}
