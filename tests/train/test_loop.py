"""The loop: exact resume, lengths, schedules, and the signals for recorder and samplers."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import Dataset

from graphprune.config.training import OptimizationConfig
from graphprune.data.base import TensorSamples
from graphprune.data.map_style import MapSamples
from graphprune.registry import create, entries
from graphprune.runtime.rng import isolated_rng
from graphprune.samplers.random import Random
from graphprune.samplers.static import StaticSampler
from graphprune.scores.recorder import Recorder
from graphprune.train.checkpoint import Checkpoint
from graphprune.train.loop import evaluate_model, train_model
from graphprune.train.optimizer import learning_rate
from graphprune.train.paradigms.base import Paradigm
from graphprune.train.paradigms.supervised import Supervised

CPU = torch.device("cpu")
N = 50


def make_samples() -> TensorSamples:
    draws = torch.Generator().manual_seed(0)
    labels = np.arange(N) % 3
    x = torch.randn(N, 2, 6, 6, generator=draws) + torch.from_numpy(labels)[:, None, None, None]
    return TensorSamples(x, labels, ids=np.arange(N) * 7 + 3)


def make_model() -> nn.Module:
    with isolated_rng(0, "model"):
        return nn.Sequential(
            nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout(0.3), nn.Linear(64, 3)
        )


def settings(**changes) -> OptimizationConfig:
    return OptimizationConfig(
        **{"epochs": 4, "batch_size": 16, "lr": 0.05, "augment": ("crop", "flip"), **changes}
    )


def fit(model, *, checkpoint=None, progress=None, sampler=None, samples=None, **changes):
    samples = samples or make_samples()
    scores = {"tdds": create("score", "tdds", T=4, window=3), "loss": create("score", "loss")}
    recorder = Recorder(scores, torch.from_numpy(samples.ids[10:40]), epochs=4, num_classes=3)
    chosen = sampler or StaticSampler(N, rows=torch.arange(10, 40), seed=5)
    result = train_model(
        model,
        samples,
        Supervised(),
        chosen,
        settings(**changes),
        seed=3,
        device=CPU,
        recorder=recorder if sampler is None else None,
        checkpoint=checkpoint,
        progress=progress,
    )
    return result, recorder


class Listener(Random):
    """Selects half of each batch and stores the losses that it receives."""

    received = None
    batch_keep = 0.5

    def _choose(self, rows, losses, features, count):
        self.received = losses.clone()
        return torch.arange(count)


def test_samplers_receive_losses_without_label_smoothing():
    samples, received = make_samples(), []
    for smoothing in (0.0, 0.3):
        sampler = Listener(N)
        changes = settings(epochs=1, batch_size=N, lr=1e-9, augment=())
        paradigm = Supervised(label_smoothing=smoothing)
        train_model(make_model(), samples, paradigm, sampler, changes, seed=0, device=CPU)
        received.append(sampler.received)
    assert torch.equal(*received)


@pytest.mark.parametrize("kill_at", [2, 4])
@pytest.mark.parametrize(
    "method",
    [
        {"name": "infobatch"},
        {"name": "infobatch", "scores": torch.linspace(0, 1, N)},
        {"name": "es", "keep": 0.5},
        {"name": "eswp"},
        {"name": "seta"},
        {"name": "rs2", "keep": 0.5},
        {"name": "random", "keep": 0.7},
        {"name": "score_weighted", "scores": torch.linspace(0, 1, N)},
        {"name": "jest", "keep": 0.5, "reference_losses": torch.linspace(0, 2, N)},
        {"name": "jest", "keep": 0.5, "reference_losses": torch.linspace(0, 2, N), "draw": "top"},
        {"name": "gstds", "schedule": "linear"},
        {"name": "gstds", "rule": "balanced", "embeddings": torch.linspace(-1, 1, 2 * N).view(N, 2)},
    ],
    ids=lambda method: method["name"],
)
def test_a_run_with_a_dynamic_sampler_resumes_bit_by_bit(resumed, kill_at, method):
    options = {key: value for key, value in method.items() if key != "name"}

    def train(**more):
        model = make_model()
        sampler = create("sampler", method["name"], n=N, epochs=4, seed=2, **options)
        return model, fit(model, sampler=sampler, **more)[0]

    (whole, expected), (again, result) = train(), resumed(train, kill_at)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    assert result.cost.forward_samples == expected.cost.forward_samples
    assert result.cost.trained_samples == expected.cost.trained_samples


@pytest.mark.parametrize("kill_at", [1, 2, 3, 5, 8])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_by_bit(resumed, kill_at):
    def train(**more):
        model = make_model()
        return model, *fit(model, **more)

    (whole, expected, expected_recorder), (again, result, recorder) = train(), resumed(train, kill_at)
    for name, tensor in whole.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name]), name
    for name, values in expected_recorder.values().items():
        assert torch.equal(values, recorder.values()[name]), name
    assert result.losses == expected.losses
    assert result.cost.trained_samples == expected.cost.trained_samples == 4 * 30


def test_a_damaged_checkpoint_restarts_the_training(tmp_path):
    path = tmp_path / "c.pt"
    path.write_bytes(b"not a checkpoint")
    whole, again = make_model(), make_model()
    fit(whole)
    with pytest.warns(UserWarning, match="cannot be used .* restarts from its beginning"):
        fit(again, checkpoint=Checkpoint(path))
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))


def test_the_global_generator_does_not_change():
    torch.manual_seed(11)
    before = torch.get_rng_state()
    fit(make_model())
    assert torch.equal(before, torch.get_rng_state())


# The model has batch norm, which cannot process a single sample.
@pytest.mark.parametrize(("epochs", "samples"), [(1.0, 50), (2.5, 125), (0.5, 25), (0.02, 2)])
def test_fractional_epochs_train_on_that_fraction_of_the_samples(epochs, samples):
    result, _ = fit(make_model(), sampler=Random(N, seed=1), epochs=epochs)
    assert result.cost.trained_samples == samples


def test_evaluation_pass_has_its_own_cost_and_keeps_training_mode():
    model = make_model()
    result, _ = fit(model)
    assert result.evaluation_cost.forward_samples == 4 * 30
    assert result.cost.forward_samples == 0
    assert model.training


def test_a_sample_of_weight_zero_has_no_influence():
    samples = make_samples()
    rows = torch.arange(10, 40)
    weights = torch.ones(30)
    weights[:5] = 0
    changed = TensorSamples(samples.x.clone(), samples.labels, ids=samples.ids)
    changed.labels = samples.labels.copy()
    changed.labels[10:15] = (changed.labels[10:15] + 1) % 3
    plain = {"augment": (), "epochs": 2}
    models = []
    for data in (samples, changed):
        model = nn.Sequential(nn.Flatten(), nn.Linear(72, 3))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.zero_()
        sampler = StaticSampler(N, rows=rows, loss_weights=weights, seed=5)
        fit(model, sampler=sampler, samples=data, **plain)
        models.append(model)
    assert torch.equal(models[0][1].weight, models[1][1].weight)
    assert models[0][1].weight.abs().sum() > 0


class Items(Dataset):
    def __init__(self, samples):
        self.samples = samples

    def __len__(self):
        return N

    def __getitem__(self, i):
        return self.samples.x[i], int(self.samples.labels[i])


@pytest.mark.parametrize("workers", [0, 2])
def test_a_map_style_dataset_gives_the_same_weights_with_any_number_of_workers(workers):
    samples = make_samples()
    expected, model = make_model(), make_model()
    fit(expected)
    fit(model, samples=MapSamples(Items(samples), ids=samples.ids), workers=workers)
    assert all(torch.equal(a, b) for a, b in zip(expected.parameters(), model.parameters(), strict=True))


def test_evaluate_model_equals_a_slow_loop():
    samples, model = make_samples(), make_model().eval()
    right = sum(int(model(samples.x[i : i + 1]).argmax()) == samples.labels[i] for i in range(N))
    assert evaluate_model(model.train(), samples, Supervised(), device=CPU) == pytest.approx(right / N)
    assert model.training


@pytest.mark.parametrize("schedule", ["onecycle", "cosine", "constant"])
def test_schedules_stay_between_zero_and_the_peak(schedule):
    factors = [learning_rate(schedule, p / 100) for p in range(101)]
    assert max(factors) == pytest.approx(1.0)
    assert min(factors) >= 0
    if schedule != "constant":
        assert factors[-1] == pytest.approx(0, abs=1e-3)
        assert all(math.isclose(a, b, abs_tol=0.1) for a, b in pairwise(factors))


class _Forecasts(Paradigm):
    """Forecasts of one step, for samplers that use forecast errors."""

    metric = "mae"

    def losses(self, outputs, targets):
        return (outputs[:, 0] - targets).abs()

    def signals(self, outputs, targets, losses):
        errors = (outputs[:, :1] - targets[:, None]).abs().detach()
        return {"loss": losses.detach(), "errors": errors[:, :, None]}

    def tally(self, outputs, targets):
        return torch.stack(
            [(outputs[:, 0] - targets).abs().sum(), torch.tensor(float(len(targets)))]
        ).double()


@pytest.mark.parametrize("kill_at", [2, 6])
def test_st_prune_resumes_bit_by_bit(resumed, kill_at):
    def train(**more):
        model = make_model()
        sampler = create("sampler", "st_prune", n=N, epochs=4, seed=2, stationarity=torch.linspace(0, 1, N))
        return model, train_model(
            model, make_samples(), _Forecasts(), sampler, settings(), seed=3, device=CPU, **more
        )

    (whole, expected), (again, result) = train(), resumed(train, kill_at)
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), again.parameters(), strict=True))
    assert result.losses == expected.losses
    assert result.cost.trained_samples == expected.cost.trained_samples < 4 * N


def test_the_resume_tests_cover_every_dynamic_sampler():
    marks = test_a_run_with_a_dynamic_sampler_resumes_bit_by_bit.pytestmark
    tried = {m["name"] for mark in marks if mark.args[0] == "method" for m in mark.args[1]} | {"st_prune"}
    assert tried >= set(entries("sampler"))
