"""How complex windows are by their inputs alone, and to the seed model: what controls order by."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from graphprune.data.windows import WindowSamples
from graphprune.files import read_npy, write_npy
from graphprune.graph.spatiotemporal import linked_windows
from graphprune.ledger import Cost, measure
from graphprune.registry import create, get
from graphprune.scores.recorder import Recorder
from graphprune.stages.job import Job
from graphprune.stages.methods import methods_of
from graphprune.store import Attempt
from graphprune.train.checkpoint import load_weights
from graphprune.train.evaluate import record_evaluation


def load_input_complexity(job: Job) -> Tensor | None:
    """``[N]`` float32 from ``input_complexity.npy``, which it writes where it is missing; None without windows."""
    train, path = job.data.train, job.run / "input_complexity.npy"
    if not isinstance(train, WindowSamples):
        return None
    from graphprune.scores.input_complexity import input_complexity

    def work(attempt: Attempt) -> Iterable[Path]:
        cost = attempt.costs["input_complexity"] = Cost()
        with measure(cost):
            write_npy(path, input_complexity(train))
        return [path]

    job.run.ensure("input_complexity", settings={"data": job.data.fingerprint}, inputs=[], work=work)
    return torch.from_numpy(read_npy(path))


def wants_seed_errors(job: Job) -> bool:
    """Whether a method of the job reads the seed model's errors, or may (a paradigm of one's own may not tell them)."""
    methods = [get("extrapolator", method.name) for method in methods_of(job)]
    needed = any("seed_errors" in method.requires for method in methods)
    welcome = job.paradigm is None and any("seed_errors" in method.spends for method in methods)
    return isinstance(job.data.train, WindowSamples) and (needed or welcome)


def load_seed_errors(job: Job) -> Tensor | None:
    """``[N]`` float32 from ``seed_errors.npy``, which it writes where it is missing; None where no method asks.

    The ST-complexity of the seed model's forecast errors on every window.
    """
    train, path = job.data.train, job.run / "seed_errors.npy"
    if not wants_seed_errors(job) or not isinstance(train, WindowSamples):
        return None
    weights, settings = job.run / "checkpoints/seed.safetensors", job.config.seed_training

    def work(attempt: Attempt) -> Iterable[Path]:
        cost = attempt.costs["seed_errors"] = Cost()
        with measure(cost):
            model = job.make_model("seed_errors").to(job.device)
            load_weights(model, weights)
            scores = {"errors": create("score", "st_complexity", links=linked_windows(train))}
            recorder = Recorder(scores, torch.from_numpy(train.ids), epochs=1, device=job.device)
            cost.forward_samples += record_evaluation(
                model, train, job.paradigm_for(settings), recorder, 0, settings, seed=job.config.seed
            )
            write_npy(path, recorder.values()["errors"].cpu().numpy())
        return [path]

    key = {"data": job.data.fingerprint, "model": job.model_settings, "precision": settings.precision}
    job.run.ensure("seed_errors", settings={**key, "device": job.device.type}, inputs=[weights], work=work)
    return torch.from_numpy(read_npy(path))
