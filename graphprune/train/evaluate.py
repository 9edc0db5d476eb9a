"""Passes without training: the metric on test data, and what the recorder is shown after an epoch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphprune.config_training import OptimisationConfig
from graphprune.data.base import Samples
from graphprune.embed.module import FeatureTap, evaluation
from graphprune.rng import generator
from graphprune.scores.group import Observer
from graphprune.train.paradigms.base import Noise, Paradigm
from graphprune.train.precision import autocast
from graphprune.train.ranks import Ranks

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
    """The paradigm's metric over all samples; several processes share them out and all get the result."""
    ranks = Ranks.current()
    total = torch.zeros(2, dtype=torch.float64, device=device)
    parts = torch.split(torch.arange(len(samples)), EVAL_BATCH)
    mine = [part[ranks.rank :: ranks.size] for part in parts if len(part) > ranks.rank]
    with evaluation(model):
        for batch in samples.batches(mine, device=device, workers=workers):
            with autocast(device, precision):
                outputs = model(batch.x)
            total += paradigm.tally(outputs.float(), batch.y)
    total = ranks.add(total)
    return float(total[0] / total[1])


def record_evaluation(
    model: nn.Module,
    samples: Samples,
    paradigm: Paradigm,
    recorder: Observer,
    epoch: int,
    settings: OptimisationConfig,
    *,
    seed: int,
) -> int:
    """One un-augmented pass over the recorder's samples; returns how many forward passes of samples it took."""
    ranks, device = Ranks.current(), next(model.parameters()).device
    ids = torch.from_numpy(samples.ids)
    rows = torch.searchsorted(ids, recorder.evaluation_ids(epoch).cpu())
    parts = torch.split(rows, EVAL_BATCH)
    mine = [part[ranks.positions(len(part))] for part in parts]
    tap = FeatureTap(model) if "features" in recorder.needs("eval") else None
    with evaluation(model):
        for part, batch in zip(
            parts, samples.batches(mine, device=device, workers=settings.workers), strict=True
        ):
            noise = None
            if paradigm.draws:
                draws = generator(seed, "observe", epoch, int(part[0]))
                noise = Noise(draws, ranks.positions(len(part)), len(part))
            with autocast(device, settings.precision):
                outputs = paradigm.observed(model, batch.x, batch.y, noise)
            signals = paradigm.signals(outputs, batch.y, paradigm.losses(outputs, batch.y))
            if tap:
                signals["features"] = paradigm.features(tap.features, len(batch.y))
            whole = gather_signals(signals, ranks, len(part))
            recorder.observe("eval", ids[part].to(device), epoch, **whole)
    if tap:
        tap.detach()
    return round(len(rows) * (1 + paradigm.extra_observed))


def gather_signals(
    signals: dict[str, Tensor], ranks: Ranks, total: int, kept: Tensor | None = None
) -> dict[str, Tensor]:
    """The signals of a whole batch of ``total``, or of its ``kept`` positions, from those of each process's part."""
    if ranks.size == 1:
        return signals
    if kept is None:
        return {name: ranks.gather(value, total) for name, value in signals.items()}
    held, real = ranks.held(kept)
    gathered = {}
    for name, value in signals.items():
        mine = value.new_zeros((-(-total // ranks.size), *value.shape[1:]))
        mine[held[:real]] = value[:real]
        gathered[name] = ranks.gather(mine, total)[kept]
    return gathered
