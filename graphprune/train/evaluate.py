"""Evaluation passes: the metric on test data, and the recorder's pass after an epoch."""

from __future__ import annotations

import torch
from torch import nn

from graphprune.config.training import OptimizationConfig
from graphprune.data.base import Samples
from graphprune.embed.module import FeatureTap, evaluation
from graphprune.runtime.precision import autocast
from graphprune.runtime.rng import generator
from graphprune.scores.group import Observer
from graphprune.train.global_batch import GlobalBatch
from graphprune.train.paradigms.base import Paradigm
from graphprune.train.process_group import ProcessGroup

EVAL_BATCH = 512


def evaluate_model(
    model: nn.Module,
    samples: Samples,
    paradigm: Paradigm,
    *,
    device: torch.device,
    precision: str = "float32",
    workers: int = 0,
) -> float:
    """The paradigm's metric over all samples; batches are divided over the processes, and all return the result."""
    group = ProcessGroup.current()
    total = torch.zeros(2, dtype=torch.float64, device=device)
    parts = torch.split(torch.arange(len(samples)), EVAL_BATCH)
    mine = [part[group.rank :: group.size] for part in parts if len(part) > group.rank]
    with evaluation(model):
        for batch in samples.batches(mine, device=device, workers=workers):
            with autocast(device, precision):
                outputs = model(batch.x)
            total += paradigm.tally(outputs.float(), batch.y)
    total = group.add(total)
    return float(total[0] / total[1])


def record_evaluation(
    model: nn.Module,
    samples: Samples,
    paradigm: Paradigm,
    recorder: Observer,
    epoch: int,
    settings: OptimizationConfig,
    *,
    seed: int,
) -> int:
    """Makes one evaluation pass for the recorder: sends it the signals of its samples, without augmentation.

    Args:
        model: The model, already on its device.
        samples: Training data, which contains the recorder's samples.
        paradigm: Computes outputs and signals.
        recorder: Receives the signals in the phase ``"eval"``.
        epoch: The epoch that just ended.
        settings: Precision and number of workers.
        seed: Seed of the paradigm's random numbers.

    Returns:
        The cost, as a number of forward passes of single samples.
    """
    group, device = ProcessGroup.current(), next(model.parameters()).device
    ids = torch.from_numpy(samples.ids)
    rows = torch.searchsorted(ids, recorder.evaluation_ids(epoch).cpu())
    parts = torch.split(rows, EVAL_BATCH)
    mine = [part[group.positions(len(part))] for part in parts]
    tap = FeatureTap(model) if "features" in recorder.needs("eval") else None
    with evaluation(model):
        for whole, part in zip(
            parts, samples.batches(mine, device=device, workers=settings.workers), strict=True
        ):
            batch = GlobalBatch(whole, part, group)
            draws = generator(seed, "observe", epoch, int(whole[0]))
            noise = batch.noise(draws) if paradigm.draws else None
            with autocast(device, settings.precision):
                outputs = paradigm.observed(model, batch.x, batch.y, noise)
            signals = paradigm.signals(outputs, batch.y, paradigm.losses(outputs, batch.y))
            if tap:
                signals["features"] = paradigm.features(tap.features, len(batch.y))
            recorder.observe("eval", ids[whole].to(device), epoch, **batch.gather_all(signals))
    if tap:
        tap.detach()
    return round(len(rows) * (1 + paradigm.extra_observed))
