"""Measure passes without training: embedding, testing, reference models, statistics of windows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from graphprune.config.base import Method
from graphprune.data.windows import WindowSamples
from graphprune.embed.module import embed_samples, evaluation
from graphprune.embed.precomputed import read_embeddings
from graphprune.embed.windows import window_statistics
from graphprune.jobs.job import Job
from graphprune.jobs.plan.measured import Measured, Part, some_windows, spread, timed
from graphprune.jobs.stages.reference import reference_key, reference_specs
from graphprune.jobs.stages.windows import window_option, window_options
from graphprune.scores.input_complexity import input_complexity
from graphprune.train.forecast_errors import forecast_errors
from graphprune.train.paradigms.adversarial import Adversarial, robust_accuracy

_BATCH = 512


@dataclass(frozen=True)
class Passes:
    """The measurements of `measure_passes`, and the outputs for the part of the samples.

    Attributes:
        forward: One forward pass of the job's model.
        embed: The embedding by the config's source.
        test: All tests of a finished training.
        references: Passes of the reference models that samplers use, by `reference_key`.
        complexity: Complexity of windows from their inputs alone; None for other data.
        from_windows: Values that samplers read from windows, by option.
        embeddings: Embeddings ``[n, D]``.
        outputs: Outputs of the job's model ``[n, ...]``.
        losses: Losses ``[n]`` float32 of the model after the short training of the calibration.
    """

    forward: Measured
    embed: Measured
    test: Measured
    references: dict[str, Measured]
    complexity: Measured | None
    from_windows: dict[str, Measured]
    embeddings: Tensor
    outputs: Tensor
    losses: npt.NDArray[np.float32]


def measure_passes(job: Job, scored: Job, part: Part, *, model: nn.Module, final: nn.Module) -> Passes:
    """Measure every kind of pass once.

    Args:
        job: The job of the final trainings, with the model ``final``.
        scored: The job of the scoring stages, with the model ``model``.
        part: Part of the training samples of ``scored``.
    """
    n, train = len(part), scored.data.train
    (embeddings, outputs), forward = timed(n, lambda: _embed(scored, model, part))
    embed, complexity, from_windows = forward, None, dict[str, Measured]()
    samplers = job.config.samplers()
    source = scored.config.embedding
    if source.source == "reference":
        other = scored.make_model("embed", method=source.model)
        (embeddings, _), embed = timed(n, lambda: _embed(scored, other, part))
    elif source.source == "file" and source.path is not None:
        path = source.path
        embeddings, embed = timed(n, lambda: _read(path, part))
    if isinstance(train, WindowSamples):
        windows = some_windows(train, part.rows)
        _, complexity = timed(n, lambda: input_complexity(windows))
        if source.source == "statistics":
            found, embed = timed(n, lambda: window_statistics(windows))
            embeddings = torch.from_numpy(found)
        for option in {option for sampler in samplers for option in window_options(train, sampler)}:
            _, from_windows[option] = timed(n, lambda option=option: window_option(windows, option))  # type: ignore[misc]
    test = Part(job.data.test, spread(len(job.data.test), n))
    references = {}
    for spec in (spec for sampler in samplers for spec in reference_specs(sampler)):
        method = Method.model_validate(spec["model"]) if isinstance(spec, dict) and "model" in spec else None
        reference = job.make_model("reference", method=method)
        references[reference_key(spec)] = timed(n, lambda network=reference: _embed(job, network, part))[1]  # type: ignore[misc]
    return Passes(
        forward=forward,
        embed=embed,
        test=timed(len(test), lambda: _test(job, final, test))[1],
        references=references,
        complexity=complexity,
        from_windows=from_windows,
        embeddings=embeddings,
        outputs=outputs,
        losses=_losses(scored, model, part),
    )


def _embed(job: Job, model: nn.Module, part: Part) -> tuple[Tensor, Tensor | None]:
    precision, keep = job.config.seed_training.precision, job.data.info.kind == "classification"
    return embed_samples(model, part, device=job.device, precision=precision, keep_outputs=keep)


def _read(path: Any, part: Part) -> Tensor:
    stored = read_embeddings(path, ids=part.samples.ids)
    return torch.from_numpy(np.array(stored[part.rows.numpy()], dtype=np.float32))


def _test(job: Job, model: nn.Module, part: Part) -> None:
    _losses(job, model, part)
    paradigm = job.paradigm_for(job.config.training.optimization())
    if isinstance(paradigm, Adversarial):
        robust_accuracy(model, part, paradigm, seed=0, device=job.device)
    if isinstance(job.data.test, WindowSamples):
        forecast_errors(model, part, job.data.info, device=job.device)


def _losses(job: Job, model: nn.Module, part: Part) -> npt.NDArray[np.float32]:
    """Return the losses ``[n]`` float32 of the model, which resemble the scores of a real seed run."""
    paradigm = job.paradigm_for(job.config.seed_training)
    order = torch.split(torch.arange(len(part)), _BATCH)
    with evaluation(model):
        found = [
            paradigm.losses(model(batch.x).float(), batch.y)
            for batch in part.batches(order, device=job.device)
        ]
    losses: npt.NDArray[np.float32] = torch.cat(found).float().cpu().numpy()
    return losses
