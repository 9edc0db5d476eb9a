"""A short run on all the data that costs as many sample passes as the seed run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from graphprune.config.training import OptimizationConfig
from graphprune.extrapolate.base import EpochSignals
from graphprune.files import read_npy, write_npy
from graphprune.jobs import paths
from graphprune.jobs.job import Job
from graphprune.jobs.plan.account import visits
from graphprune.jobs.stage import Attempt, Estimate, Product, Stage
from graphprune.jobs.stages.seeds import read_seeds
from graphprune.jobs.watched import train_watched
from graphprune.scores.recorder import Recorder
from graphprune.scores.signal_log import OF_CLASSES, OF_FORECASTS, SignalLog

if TYPE_CHECKING:
    from graphprune.jobs.plan.calibrate import Calibration


def stages(job: Job) -> Iterator[Stage]:
    """Train on all samples for as many sample passes as the seed run, at least one whole epoch.

    Writes ``short_run/<signal>.npy [E', N]`` float16, see `SignalLog`; the settings are those of the arms.
    """
    job = job.scored
    if job.config.short_run is None:
        return
    epochs = job.config.short_run.epochs or _epochs_of_the_seed_run(job)
    settings, n = job.config.training.optimization(epochs=epochs), len(job.data.train)

    def estimate(measured: Calibration) -> Estimate:
        cost = measured.trained(job, "short_run", visits(n, epochs))
        return Estimate({"short_run": cost}, disk_bytes=2 * len(_names(job)) * epochs * n)

    yield Stage(
        "short_run",
        lambda attempt: _train(job, attempt, settings, epochs),
        estimate,
        makes=(Product("short_run", (paths.SHORT_RUN,)),),
        # Only its length depends on the seeds, so its users do not pay for them.
        settings={
            "data": job.data.fingerprint,
            "seed": job.config.seed,
            "model": job.model_settings,
            "training": settings.key(),
            "device": job.device.type,
        },
        together=True,
    )


def load_short_run(job: Job) -> EpochSignals | None:
    """Return the signals of the short run, if the job has one."""
    if job.config.short_run is None:
        return None
    files = {name: job.run / f"{paths.SHORT_RUN}/{name}.npy" for name in _names(job)}
    return EpochSignals(**{name: torch.from_numpy(read_npy(path)) for name, path in files.items()})


def _names(job: Job) -> tuple[str, ...]:
    return OF_FORECASTS if job.data.info.num_classes is None else OF_CLASSES


def _epochs_of_the_seed_run(job: Job) -> int:
    share = len(read_seeds(job).ids) / len(job.data.train)
    visits = min(1.0, share * (1 + job.config.seeds.background))
    return max(1, round(job.config.seed_training.epochs * visits))


def _train(job: Job, attempt: Attempt, settings: OptimizationConfig, epochs: int) -> Iterable[Path]:
    log = SignalLog(names=_names(job))
    recorder = Recorder(
        {"log": log},
        torch.from_numpy(job.data.train.ids),
        epochs=epochs,
        num_classes=job.data.info.num_classes,
        device=job.device,
    )
    _, result = train_watched(job, attempt, "short_run", settings, recorder)
    if not attempt.writes:
        return []
    attempt.costs["short_run"] = result.cost
    written = []
    for name, values in log.log().items():
        path = job.run / f"{paths.SHORT_RUN}/{name}.npy"
        write_npy(path, values.numpy())
        written.append(path)
    return written
