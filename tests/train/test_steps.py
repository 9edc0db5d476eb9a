"""Updates of the weights: accumulation, Muon, averages, early stopping, precision, compilation."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from graphprune.config.training import OptimizationConfig
from graphprune.data.base import TensorSamples
from graphprune.errors import InputError
from graphprune.registry import create
from graphprune.runtime.rng import isolated_rng
from graphprune.samplers.random import Random
from graphprune.scores.recorder import Recorder
from graphprune.train.ema import WeightAverage
from graphprune.train.loop import train_model
from graphprune.train.optimizer import hidden_matrices, make_optimizers
from graphprune.train.paradigms.supervised import Supervised

CPU = torch.device("cpu")
N = 50


def make_samples() -> TensorSamples:
    draws = torch.Generator().manual_seed(0)
    labels = np.arange(N) % 3
    return TensorSamples(torch.randn(N, 6, generator=draws) + torch.from_numpy(labels)[:, None], labels)


def make_model() -> nn.Module:
    with isolated_rng(0, "model"):
        return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))


def fit(model, *, recorder=None, checkpoint=None, progress=None, **changes):
    settings = OptimizationConfig(
        **{"epochs": 4, "batch_size": 16, "lr": 0.05, "schedule": "cosine", **changes}
    )
    sampler = Random(N, epochs=settings.epochs, seed=1)
    return train_model(
        model, make_samples(), Supervised(), sampler, settings, seed=3, device=CPU,
        recorder=recorder, checkpoint=checkpoint, progress=progress,
    )  # fmt: skip


def weights(model) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


@pytest.mark.parametrize("together", [2, 4])
def test_accumulated_batches_make_the_step_of_one_large_batch(together):
    large, small = make_model(), make_model()
    fit(large, batch_size=8 * together)
    fit(small, batch_size=8, accumulate=together)
    torch.testing.assert_close(weights(small), weights(large), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    "changes",
    [
        {"accumulate": 3, "batch_size": 5},
        {"optimizer": "muon", "lr": 0.01},
        {"ema": 0.9},
        {"ema": 0.9, "accumulate": 2, "optimizer": "adamw"},
        {"clip_norm": 0.1, "precision": "bf16"},
    ],
)
@pytest.mark.parametrize("kill_at", [3, 6])
def test_every_kind_of_step_resumes_bit_by_bit(resumed, changes, kill_at):
    def train(**more):
        model = make_model()
        return model, fit(model, **changes, **more)

    (whole, expected), (again, result) = train(), resumed(train, kill_at)
    assert torch.equal(weights(whole), weights(again))
    assert result.losses == expected.losses
    assert result.cost.trained_samples == expected.cost.trained_samples


def test_muon_takes_hidden_matrices_and_adamw_the_rest():
    model = nn.Sequential(
        nn.Embedding(5, 4), nn.Conv2d(1, 2, 3), nn.Linear(4, 6), nn.LayerNorm(6), nn.Linear(6, 3)
    )
    assert [id(p) for p in hidden_matrices(model)] == [id(model[2].weight)]
    muon, adamw = make_optimizers(model, OptimizationConfig(optimizer="muon"))
    assert isinstance(muon, torch.optim.Muon)
    assert isinstance(adamw, torch.optim.AdamW)
    taken = [id(p) for o in (muon, adamw) for g in o.param_groups for p in g["params"]]
    assert sorted(taken) == sorted(id(p) for p in model.parameters())
    model.embedding_of_sensors = nn.Parameter(torch.zeros(5, 4))
    assert [id(p) for p in hidden_matrices(model)] == [id(model[2].weight)]
    with pytest.raises(InputError, match="muon moves hidden matrices, and Linear has none"):
        make_optimizers(nn.Linear(4, 3), OptimizationConfig(optimizer="muon"))


def test_muon_learns():
    result = fit(make_model(), optimizer="muon", lr=0.05, epochs=20)
    assert result.losses[-1] < 0.6 * result.losses[0]


def test_an_average_is_the_recursion_over_all_steps_and_remains_in_the_model():
    model = nn.Linear(2, 1, bias=False)
    average = WeightAverage(model, 0.5)
    expected = model.weight.detach().numpy().copy()
    for step in range(1, 15):
        with torch.no_grad():
            model.weight.copy_(torch.tensor([[float(step), -1.0]]))
        average.update()
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * np.array([[step, -1.0]])
    with average.applied():
        np.testing.assert_allclose(model.weight.detach().numpy(), expected, rtol=1e-5)
    assert model.weight[0, 0] == 14
    raw, averaged = make_model(), make_model()
    fit(raw)
    fit(averaged, ema=0.9)
    assert not torch.equal(weights(raw), weights(averaged))


def test_the_recorder_uses_the_average_and_training_continues_with_the_raw_weights():
    losses = {}
    for ema in (None, 0.99):
        recorder = Recorder({"loss": create("score", "loss")}, torch.arange(N), epochs=4, num_classes=3)
        result = fit(make_model(), recorder=recorder, ema=ema)
        losses[ema] = (recorder.values()["loss"], result.losses)
    assert losses[None][1] == losses[0.99][1]
    if recorder.phases == ("eval",):
        assert not torch.equal(losses[None][0], losses[0.99][0])


def test_training_stops_when_the_loss_no_longer_falls_and_only_that_is_paid(resumed):
    stuck = {"epochs": 20, "min_improvement": 100.0, "patience": 3}
    result = fit(make_model(), **stuck)
    assert len(result.losses) == 4
    assert result.cost.trained_samples == 4 * N
    recorder = Recorder({"loss": create("score", "loss")}, torch.arange(N), epochs=20, num_classes=3)
    assert len(fit(make_model(), recorder=recorder, **stuck).losses) == 20
    assert resumed(lambda **more: fit(make_model(), **stuck, **more), 14).losses == result.losses


def test_fp16_on_a_cpu_is_rejected():
    with pytest.raises(InputError, match="precision: fp16 needs a GPU"):
        fit(make_model(), precision="fp16")


def test_compilation_is_optional_and_does_not_change_results(monkeypatch):
    requested = []

    def compiled(model):
        requested.append(model)
        return lambda x: model(x)

    monkeypatch.setattr(torch, "compile", compiled)
    plain, again = make_model(), make_model()
    fit(plain)
    assert not requested
    fit(again, compile=True)
    assert requested == [again]
    assert torch.equal(weights(plain), weights(again))


def test_a_sharded_sampler_is_rejected():
    sampler = Random(N, epochs=1).shard(0, 2)
    with pytest.raises(InputError, match="without .shard"):
        train_model(
            make_model(),
            make_samples(),
            Supervised(),
            sampler,
            OptimizationConfig(epochs=1),
            seed=0,
            device=CPU,
        )


def test_training_leaves_no_trace_in_the_model():
    model = make_model()
    before = copy.deepcopy(model).state_dict().keys()
    fit(model, ema=0.9)
    assert model.state_dict().keys() == before
