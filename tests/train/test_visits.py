"""How often each sample was trained on, compared with a paradigm that counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from graphprune.config.training import OptimizationConfig
from graphprune.data.base import TensorSamples
from graphprune.registry import create
from graphprune.runtime.rng import isolated_rng
from graphprune.train.checkpoint import Checkpoint
from graphprune.train.loop import train_model
from graphprune.train.paradigms.supervised import Supervised

N = 40


class Counting(Supervised):
    """Counts the values of the first feature, which is the row, wherever gradients flow."""

    def __init__(self):
        super().__init__()
        self.seen = np.zeros(N, dtype=np.int64)

    def outputs(self, model, x, y, noise):
        np.add.at(self.seen, x[:, 0].long().numpy(), 1)
        return super().outputs(model, x, y, noise)


def train(name, *, epochs=3.0, checkpoint=None, progress=None, **options):
    x = torch.arange(N, dtype=torch.float32)[:, None].repeat(1, 3)
    samples, paradigm = TensorSamples(x, np.arange(N) % 3, ids=np.arange(N) * 5), Counting()
    sampler = create("sampler", name, n=N, epochs=epochs, seed=1, **options)
    settings = OptimizationConfig(epochs=epochs, batch_size=8, lr=1e-3)
    with isolated_rng(0, "model"):
        model = nn.Linear(3, 3)
    result = train_model(
        model, samples, paradigm, sampler, settings, seed=3, device=torch.device("cpu"),
        checkpoint=checkpoint, progress=progress,
    )  # fmt: skip
    return result, paradigm.seen


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("random", {"keep": 0.4}),
        ("rs2", {"keep": 0.3, "epochs": 2.5}),
        ("infobatch", {"r": 0.9}),
        ("es", {"keep": 0.5, "epochs": 4.0}),
    ],
)
def test_visits_count_the_samples_of_every_gradient(name, options):
    result, seen = train(name, **options)
    assert result.visits.dtype == torch.int32
    assert result.visits.tolist() == seen.tolist()
    assert int(result.visits.sum()) == result.cost.trained_samples
    assert 0 <= int(result.visits.min()) < int(result.visits.max())


def test_a_resumed_run_continues_to_count(tmp_path):
    class Killed(Exception):
        pass

    calls = []

    def killed(*_):
        calls.append(None)
        if len(calls) == 7:
            raise Killed

    checkpoint = Checkpoint(tmp_path / "c.pt", every_seconds=0)
    with pytest.raises(Killed):
        train("infobatch", checkpoint=checkpoint, progress=killed)
    result, seen = train("infobatch", checkpoint=checkpoint)
    expected, _ = train("infobatch")
    assert result.visits.tolist() == expected.visits.tolist()
    assert seen.sum() < result.visits.sum()
