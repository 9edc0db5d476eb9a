"""Adversarial training: attacks, losses, signals and costs; end to end on digits."""

import numpy as np
import pytest
import torch
from torch import nn

from graphprune.config.load import parse_config
from graphprune.config.training import OptimizationConfig
from graphprune.data.base import TensorSamples
from graphprune.errors import InputError
from graphprune.jobs.pipeline import run
from graphprune.registry import create
from graphprune.runtime.rng import isolated_rng
from graphprune.samplers.random import Random
from graphprune.scores.recorder import Recorder
from graphprune.train.loop import train_model
from graphprune.train.paradigms.adversarial import Adversarial, robust_accuracy
from graphprune.train.paradigms.base import Noise

CPU = torch.device("cpu")


def linear() -> nn.Module:
    model = nn.Linear(4, 3)
    with torch.no_grad():
        model.weight.copy_(torch.arange(12.0).view(3, 4).sin())
        model.bias.zero_()
    return model


def batch():
    draws = torch.Generator().manual_seed(0)
    return torch.randn(6, 4, generator=draws), torch.tensor([0, 1, 2, 0, 1, 2])


@pytest.mark.parametrize("method", ["pgd", "trades"])
def test_an_attack_stays_in_the_ball_and_within_limits(method):
    x, y = batch()
    std = [1.0, 2.0, 0.5, 1.0]
    limits = ([-0.4] * 4, [0.5] * 4)
    x = x.clamp(-0.4, 0.5)
    paradigm = Adversarial(method=method, epsilon=0.2, step=0.1, steps=5, std=std, limits=limits)
    changed = paradigm.attack(linear(), x, y, Noise(torch.Generator().manual_seed(1)))
    assert bool(((changed - x).abs() <= 0.2 / torch.tensor(std) + 1e-6).all())
    assert bool((changed >= -0.4 - 1e-6).all())
    assert bool((changed <= 0.5 + 1e-6).all())


def test_pgd_finds_the_worst_corner_of_a_linear_model():
    """With two classes the loss rises with w1 - w0, so the worst point is known in closed form."""
    model = nn.Linear(4, 2, bias=False)
    with torch.no_grad():
        model.weight.copy_(torch.tensor([[1.0, -2.0, 0.5, 1.0], [0.0, 1.0, 1.5, -1.0]]))
    x, _ = batch()
    y = torch.zeros(6, dtype=torch.int64)
    found = Adversarial(epsilon=0.3, step=0.3, steps=4).attack(
        model, x, y, Noise(torch.Generator().manual_seed(0))
    )
    worst = x + 0.3 * (model.weight[1] - model.weight[0]).detach().sign()
    torch.testing.assert_close(found, worst)


def test_losses_are_those_of_the_papers():
    clean, hard = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0)).unbind(0)
    y = torch.tensor([0, 1, 2, 0, 1])
    both = torch.stack([clean, hard], dim=1)
    p, q = clean.softmax(1).numpy(), hard.softmax(1).numpy()
    rows = np.arange(5)
    ce_clean, ce_hard = -np.log(p[rows, y]), -np.log(q[rows, y])
    kl = np.array([sum(p[i, c] * np.log(p[i, c] / q[i, c]) for c in range(3)) for i in range(5)])
    trades = Adversarial(method="trades", beta=6.0).losses(both, y).numpy()
    np.testing.assert_allclose(trades, ce_clean + 6 * kl, rtol=1e-5)
    np.testing.assert_allclose(Adversarial(signals="clean").losses(both, y).numpy(), ce_hard, rtol=1e-5)
    for watched, expected in (("clean", ce_clean), ("adversarial", ce_hard)):
        shown = Adversarial(method="trades", signals=watched).signals(both, y, torch.zeros(5))
        np.testing.assert_allclose(shown["loss"].numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "trained", "observed"),
    [
        ({"method": "pgd", "signals": "adversarial"}, 4, 4),
        ({"method": "pgd", "signals": "clean"}, 5, 0),
        ({"method": "trades", "signals": "adversarial"}, 8, 5),
    ],
)
def test_all_passes_of_an_attack_are_made_and_counted(options, trained, observed):
    """Two steps; forward passes of samples are counted by a hook, a backward pass counts as two."""

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = nn.BatchNorm1d(4), linear()
            self.seen = 0

        def forward(self, x):
            self.seen += len(x)
            return self.head(self.body(x))

    x, y = batch()
    samples = TensorSamples(x, y.numpy())
    scores = {"loss": create("score", "loss"), "grand": create("score", "grand")}
    recorder = Recorder(scores, torch.arange(6), epochs=2, num_classes=3)
    net = Net()
    paradigm = Adversarial(steps=2, epsilon=0.1, step=0.05, **options)
    settings = OptimizationConfig(epochs=2, batch_size=3, lr=0.01)
    sampler = Random(6, epochs=2)
    result = train_model(net, samples, paradigm, sampler, settings, seed=0, device=CPU, recorder=recorder)
    assert result.cost.trained_samples == 12
    assert result.cost.forward_samples == 12 * trained
    if recorder.phases == ("eval",):
        assert result.evaluation_cost.forward_samples == 12 * (1 + observed)
    assert all(bool(v.isfinite().all()) for v in recorder.values().values())
    assert net.training
    assert net.body.num_batches_tracked == 4, "an attack must not move batch norm's statistics"


def test_adversarial_training_withstands_what_plain_training_does_not():
    draws = torch.Generator().manual_seed(0)
    y = np.arange(400) % 2
    sign = torch.from_numpy(2 * y - 1).float()[:, None]
    # One strong feature, and many weak ones that a small change overturns.
    x = torch.cat([sign + 0.3 * torch.randn(400, 1, generator=draws), 0.1 * sign.expand(-1, 40)], dim=1)
    samples, robust = TensorSamples(x, y), []
    attack = Adversarial(epsilon=0.25, step=0.1, steps=5)
    for paradigm in (create("paradigm", "supervised"), attack):
        with isolated_rng(0, "model"):
            model = nn.Linear(41, 2)
        settings = OptimizationConfig(epochs=5, batch_size=50, lr=0.1, weight_decay=0)
        train_model(model, samples, paradigm, Random(400, epochs=5), settings, seed=0, device=CPU)
        robust.append(robust_accuracy(model, samples, attack, seed=0, device=CPU))
    assert robust[1] > 0.9
    assert robust[0] < robust[1] - 0.2


@pytest.mark.parametrize("options", [{"method": "fgsm"}, {"epsilon": 0}, {"steps": 0}, {"signals": "both"}])
def test_bad_options_are_rejected(options):
    with pytest.raises(InputError, match="paradigm 'adversarial': .* must be .*received"):
        Adversarial(**options)


def test_dynamic_uncertainty_of_adversarial_predictions_end_to_end(tmp_path, job):
    job["data"] = {"kind": "sklearn", "name": "digits", "limit": 150}
    attack = {"epsilon": 1.0, "step": 0.5, "steps": 2, "signals": "clean"}
    job["paradigm"] = {"name": "adversarial", **attack}
    job["arms"] = [{"name": "half", "score": "dynamic_uncertainty"}]
    metrics = run(parse_config(job), tmp_path / "run")
    arms = metrics["training"]
    assert all(0 <= arm["robust"][0] <= arm["value"][0] + 0.1 for arm in arms.values())
    # A step costs 3 passes, two ascents 4 and the pass over clean inputs 1.
    assert arms["full"]["cost_passes"] == pytest.approx((3 + 5) / 3)
    assert arms["full_short"]["cost_passes"] == pytest.approx(arms["half"]["cost_passes"], rel=0.02)


def test_noise_of_a_sample_does_not_depend_on_its_process():
    x = torch.zeros(7, 2, 3)
    whole = Noise(torch.Generator().manual_seed(4)).uniform(x)
    mine = torch.tensor([1, 4, 6])
    part = Noise(torch.Generator().manual_seed(4), mine, 7).uniform(x[mine])
    assert torch.equal(part, whole[mine])
    assert len(whole.unique()) == whole.numel()
