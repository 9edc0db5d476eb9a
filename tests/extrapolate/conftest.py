"""A small problem whose scores follow from the position of a sample: they are high near the class boundary."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from graphprune.extrapolate.base import EpochSignals, Inputs
from graphprune.graph.knn import KNNGraph


@dataclass(frozen=True)
class Problem:
    inputs: Inputs
    scores: np.ndarray
    seeds: np.ndarray  # ids

    @property
    def seed_scores(self) -> np.ndarray:
        return self.scores[np.searchsorted(self.inputs.sample_ids, self.seeds)]

    @property
    def unseen(self) -> np.ndarray:
        return np.setdiff1d(np.arange(self.inputs.n), np.searchsorted(self.inputs.sample_ids, self.seeds))


def make_problem(n: int = 300, seed: int = 0) -> Problem:
    g = torch.Generator().manual_seed(seed)
    z = torch.rand(n, 2, generator=g) * 2 - 1
    labels = (z[:, 0] > 0).long() + 2 * (z[:, 1] > 0).long()
    margin = z.abs().amin(dim=1)
    scores = torch.exp(-4 * margin) + 0.1 * labels + 0.02 * torch.randn(n, generator=g)
    embeddings = torch.cat([z, z.abs(), 0.1 * torch.randn(n, 2, generator=g)], dim=1)
    own = torch.sigmoid(6 * margin - 1 + 0.2 * torch.randn(3, n, generator=g))
    probes = ((1 - own) / 3)[:, :, None].repeat(1, 1, 4)
    probes.scatter_(2, labels.expand(3, n)[:, :, None], own[:, :, None])
    inputs = Inputs(
        graph=KNNGraph.build(embeddings, 10),
        embeddings=embeddings,
        ids=np.arange(n, dtype=np.int64) * 7 + 3,
        labels=labels,
        probes=probes,
        short_run=EpochSignals(p_true=own[:2], el2n=(1 - own[:2]) * (4 / 3) ** 0.5),
        input_complexity=0.5 - margin + 0.1 * torch.randn(n, generator=g),
        seed_errors=0.5 - margin + 0.05 * torch.randn(n, generator=g),
    )
    chosen = np.random.default_rng(seed).permutation(n)[: n // 4]
    return Problem(inputs, scores.numpy().astype(np.float32), inputs.sample_ids[chosen])


@pytest.fixture(scope="session")
def problem() -> Problem:
    return make_problem()
