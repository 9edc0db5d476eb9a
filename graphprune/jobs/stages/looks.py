"""Epoch signals of all samples: a few evaluation passes late in the seed run, and the last training visits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from graphprune.extrapolate.base import EpochSignals
from graphprune.files import read_npy, write_npy
from graphprune.jobs import paths
from graphprune.jobs.job import Job
from graphprune.jobs.stages.seeds import read_seeds
from graphprune.registry import get
from graphprune.scores.last_visits import LastVisits
from graphprune.scores.recorder import Recorder

# Evaluation passes over all samples, a tenth of the run apart, the last one after the last epoch.
_PASSES = 3
_NAMES = ("p_true", "entropy")


def wants_looks(job: Job) -> bool:
    """Return whether an extrapolator of the job reads epoch signals and the data have classes."""
    methods = job.config.extrapolators
    return job.data.info.num_classes is not None and any(
        "looks" in get("extrapolator", method.name).reads for method in methods
    )


def looks_recorder(job: Job, length: dict[str, Any]) -> Recorder | None:
    """Return a recorder of the epoch signals of all samples, for a seed run of the given length."""
    if not wants_looks(job):
        return None
    epochs = length["epochs"]
    apart = max(1, round(epochs / 10))
    scores = {"passes": LastVisits(visits=_PASSES)}
    seeds, n = len(read_seeds(job).ids), len(job.data.train)
    if visits := late_visits(epochs, job.config.seeds.background * seeds / max(1, n - seeds)):
        scores["visits"] = LastVisits(visits=visits, phase="train")
    passes = [epochs - 1 - back * apart for back in range(_PASSES) if epochs - 1 - back * apart >= 0]
    return Recorder(scores, torch.from_numpy(job.data.train.ids), eval_epochs=passes, **length)


def late_visits(epochs: int, rate: float) -> int:
    """Return how many training visits of a sample count as epoch signals (0 to 2) at ``rate`` visits per epoch.

    About those in the last two fifths of the run: earlier visits depend more on the epoch than on the sample.
    """
    return min(2, round(0.4 * epochs * min(1.0, rate)))


def write_looks(job: Job, recorder: Recorder) -> list[Path]:
    """Write ``looks/<signal>.npy [K, N]`` float32: training visits first, evaluation passes last."""
    looks = [recorder.scores[name] for name in ("visits", "passes") if name in recorder.scores]
    for position, path in enumerate(_paths(job)):
        parts = [each.looks()[position] for each in looks if isinstance(each, LastVisits)]
        write_npy(path, torch.cat(parts).numpy())
    return _paths(job)


def load_looks(job: Job) -> EpochSignals | None:
    """Return the epoch signals, if the job has any."""
    if not wants_looks(job):
        return None
    return EpochSignals(**{path.stem: torch.from_numpy(read_npy(path)) for path in _paths(job)})


def _paths(job: Job) -> list[Path]:
    return [job.run / f"{paths.LOOKS}/{name}.npy" for name in _NAMES]
