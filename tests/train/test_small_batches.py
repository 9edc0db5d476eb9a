"""Batch norm cannot standardize one sample, so no step has only one."""

import pytest
import torch
from torch import nn

from graphprune.config.training import OptimizationConfig
from graphprune.data.base import TensorSamples
from graphprune.errors import InputError
from graphprune.registry import create, entries
from graphprune.runtime.rng import isolated_rng
from graphprune.samplers.random import Random
from graphprune.train.loop import train_model
from graphprune.train.paradigms.supervised import Supervised


class Sizes(Supervised):
    """Stores the number of samples of each step."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def outputs(self, model, x, targets, noise):
        self.seen.append(len(x))
        return super().outputs(model, x, targets, noise)


def train(n, *, batch, method="random", epochs=1.0, norm=True, **options):
    with isolated_rng(0, "model"):
        model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4) if norm else nn.Identity(), nn.Linear(4, 2))
    x, paradigm = torch.randn(n, 3, generator=torch.Generator().manual_seed(0)), Sizes()
    sampler = create("sampler", method, n=n, epochs=epochs, **options)
    settings = OptimizationConfig(epochs=epochs, batch_size=batch, lr=0.01)
    samples = TensorSamples(x, (torch.arange(n) % 2).numpy())
    result = train_model(model, samples, paradigm, sampler, settings, seed=0, device=torch.device("cpu"))
    return paradigm.seen, result


@pytest.mark.parametrize(
    ("given", "steps"),
    [
        ({"n": 33, "batch": 16}, [16, 17]),
        ({"n": 34, "batch": 16}, [16, 16, 2]),
        ({"n": 33, "batch": 16, "norm": False}, [16, 16, 1]),
        # One row of the last candidate batch of 2 would be kept.
        ({"n": 66, "batch": 16, "method": "es", "keep": 0.25, "anneal": 0.0}, [17]),
        # The last epoch ends after one row, or one row after a full batch.
        ({"n": 32, "batch": 16, "epochs": 1.03}, [16, 16, 2]),
        ({"n": 32, "batch": 16, "epochs": 1.54}, [16, 16, 17]),
    ],
)
def test_a_last_batch_of_one_joins_the_one_before_it(given, steps):
    seen, result = train(**given)
    assert seen == steps
    assert result.cost.trained_samples == sum(steps)


def test_a_single_sample_is_rejected():
    with pytest.raises(
        InputError, match="has batch norm, which takes at least 2 samples in a step, and epoch 0"
    ):
        train(1, batch=16)
    assert train(1, batch=16, norm=False)[0] == [1]


def test_every_sampler_leaves_whole_steps():
    n = 97
    needed = {
        "reference_losses": torch.zeros(n),
        "embeddings": torch.randn(n, 4, generator=torch.Generator().manual_seed(1)),
        "scores": torch.linspace(0, 1, n),
    }
    for name, entry in entries("sampler").items():
        options = {option: needed[option] for option in entry.cls.requires}
        if name == "st_prune":
            options |= {"a": 0.0, "b": 0.0}
        seen, _ = train(n, batch=16, method=name, epochs=4, **options)
        assert min(seen) >= 2, name


def test_steps_split_an_order():
    sampler, order = Random(9), torch.arange(9)
    assert [len(part) for part in sampler.steps(order, 4)] == [4, 4, 1]
    assert [part.tolist() for part in sampler.steps(order, 4, least=2)] == [[0, 1, 2, 3], [4, 5, 6, 7, 8]]
    assert [len(part) for part in sampler.steps(order[:1], 4, least=2)] == [1]
