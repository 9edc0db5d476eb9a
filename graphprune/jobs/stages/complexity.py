"""The complexity of windows by their inputs alone and by the seed model's errors, which two controls order by."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graphprune.data.windows import WindowSamples
from graphprune.files import read_npy, write_npy
from graphprune.graph.spatiotemporal import linked_windows
from graphprune.jobs import paths
from graphprune.jobs.job import Job
from graphprune.jobs.methods import methods_of
from graphprune.jobs.stage import Attempt, Estimate, Product, Stage
from graphprune.registry import create, get
from graphprune.runtime.cost import Cost, measure
from graphprune.scores.recorder import Recorder
from graphprune.train.checkpoint import load_weights
from graphprune.train.evaluate import record_evaluation

if TYPE_CHECKING:
    from graphprune.jobs.plan.calibrate import Calibration


def stages(job: Job) -> Iterator[Stage]:
    """For windows, write ``input_complexity.npy [N]`` and, if a method reads it, ``seed_errors.npy [N]``.

    The first is the complexity of each window's input, the second the ST-complexity of the seed model's forecast
    errors.
    """
    job = job.scored
    if isinstance(job.data.train, WindowSamples):
        yield _by_inputs(job, job.data.train)
        if wants_seed_errors(job):
            yield _by_seed_model(job, job.data.train)


def load_input_complexity(job: Job) -> Tensor | None:
    """Return the input complexity ``[N]`` float32; None for data that are not windows."""
    return _load(job, paths.INPUT_COMPLEXITY) if isinstance(job.data.train, WindowSamples) else None


def load_seed_errors(job: Job) -> Tensor | None:
    """Return the seed errors ``[N]`` float32; None if no method reads them."""
    return _load(job, paths.SEED_ERRORS) if wants_seed_errors(job) else None


def wants_seed_errors(job: Job) -> bool:
    """Return whether a method of the job requires the seed errors or, with a built-in paradigm, can use them."""
    methods = [get("extrapolator", method.name) for method in methods_of(job)]
    needed = any("seed_errors" in method.requires for method in methods)
    welcome = job.paradigm is None and any("seed_errors" in method.reads for method in methods)
    return isinstance(job.data.train, WindowSamples) and (needed or welcome)


def _by_inputs(job: Job, train: WindowSamples) -> Stage:
    from graphprune.scores.input_complexity import input_complexity

    path = job.run / paths.INPUT_COMPLEXITY

    def work(attempt: Attempt) -> Iterable[Path]:
        cost = attempt.costs["input_complexity"] = Cost()
        with measure(cost):
            write_npy(path, input_complexity(train))
        return [path]

    def estimate(measured: Calibration) -> Estimate:
        assert measured.passes.complexity is not None
        return Estimate(
            {"input_complexity": measured.passes.complexity.cost_for(len(train))}, disk_bytes=4 * len(train)
        )

    made = Product("input_complexity", (paths.INPUT_COMPLEXITY,))
    return Stage("input_complexity", work, estimate, makes=(made,), settings={"data": job.data.fingerprint})


def _by_seed_model(job: Job, train: WindowSamples) -> Stage:
    path, settings = job.run / paths.SEED_ERRORS, job.config.seed_training

    def work(attempt: Attempt) -> Iterable[Path]:
        cost = attempt.costs["seed_errors"] = Cost()
        with measure(cost):
            model = job.make_model("seed_errors").to(job.device)
            load_weights(model, job.run / paths.SEED_MODEL)
            scores = {"errors": create("score", "st_complexity", links=linked_windows(train))}
            recorder = Recorder(scores, torch.from_numpy(train.ids), epochs=1, device=job.device)
            cost.forward_samples += record_evaluation(
                model, train, job.paradigm_for(settings), recorder, 0, settings, seed=job.config.seed
            )
            write_npy(path, recorder.values()["errors"].cpu().numpy())
        return [path]

    def estimate(measured: Calibration) -> Estimate:
        cost = measured.passes.forward.cost_for(len(train))
        cost.forward_samples = len(train)
        return Estimate({"seed_errors": cost}, disk_bytes=4 * len(train))

    key = {"data": job.data.fingerprint, "model": job.model_settings, "precision": settings.precision}
    return Stage(
        "seed_errors",
        work,
        estimate,
        makes=(Product("seed_errors", (paths.SEED_ERRORS,)),),
        needs=("seed_model",),
        settings={**key, "device": job.device.type},
    )


def _load(job: Job, path: str) -> Tensor:
    return torch.from_numpy(read_npy(job.run / path))
