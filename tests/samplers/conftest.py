"""A training loop without a model: losses and errors are functions of row and epoch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from graphprune import registry
from graphprune.graph.knn import KNNGraph
from graphprune.samplers.base import EpochSampler

N = 240


def inputs_for(name: str, n: int = N) -> dict[str, Any]:
    """The required inputs of a sampler besides n."""
    draws = torch.Generator().manual_seed(1)
    arrays: dict[str, Any] = {
        "scores": torch.rand(n, generator=draws),
        "reference_losses": torch.rand(n, generator=draws),
        "embeddings": torch.randn(n, 6, generator=draws),
    }
    return {key: arrays[key] for key in registry.get("sampler", name).requires}


def make_sampler(name: str, n: int = N, *, epochs: int = 20, seed: int = 0, **options: Any) -> EpochSampler:
    return registry.create("sampler", name, n=n, epochs=epochs, seed=seed, **inputs_for(name, n), **options)


def losses_of(rows: Tensor, epoch: int) -> Tensor:
    """Positive losses, different for each row, that change from epoch to epoch."""
    return (rows.float() * 0.618 + 0.1 * epoch).frac() + 0.01 * (rows % 7)


def errors_of(rows: Tensor, epoch: int) -> Tensor:
    """Errors [B, 4, 3] whose mean is the loss."""
    pattern = torch.linspace(0.2, 1.8, 12).reshape(4, 3)
    return losses_of(rows, epoch)[:, None, None] * pattern


def features_of(rows: Tensor, epoch: int) -> Tensor:
    """Features [B, 5]."""
    return torch.stack([(rows.float() * c + epoch).sin() for c in (0.3, 0.7, 1.1, 1.9, 2.3)], dim=1)


def run_step(sampler: EpochSampler, rows: Tensor) -> Tensor:
    """One training step; returns the rows trained on."""
    epoch = sampler.epoch
    if sampler.selects_in_batch:
        with torch.inference_mode():  # as loops do it: state must not keep such tensors
            losses = losses_of(rows, epoch) if sampler.needs_forward else None
            features = features_of(rows, epoch) if sampler.needs_features else None
        rows = rows[sampler.choose(rows, losses, features)]
    sampler.weights(rows)
    sampler.update(rows, losses_of(rows, epoch), errors_of(rows, epoch) if sampler.needs_errors else None)
    return rows


def run_epoch(sampler: EpochSampler, epoch: int, batch_size: int = 16) -> list[Tensor]:
    """The rows trained on in each step of one epoch."""
    sampler.set_epoch(epoch)
    steps = torch.split(sampler.order, sampler.candidate_batch_size(batch_size))
    return [run_step(sampler, rows) for rows in steps]


@pytest.fixture(scope="session")
def loop() -> Any:
    """The helpers above, for test modules."""

    class Loop:
        n = N
        inputs = staticmethod(inputs_for)
        make: Callable[..., EpochSampler] = staticmethod(make_sampler)
        losses = staticmethod(losses_of)
        errors = staticmethod(errors_of)
        features = staticmethod(features_of)
        step = staticmethod(run_step)
        epoch = staticmethod(run_epoch)

    return Loop


@pytest.fixture(scope="session")
def graph() -> KNNGraph:
    points = torch.randn(N, 6, generator=torch.Generator().manual_seed(1))
    return KNNGraph.build(points, k=8)
