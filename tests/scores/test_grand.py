"""GraNd in closed form and in full against gradients of autograd, one sample at a time."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, mse_loss

from graphprune.errors import InputError
from graphprune.registry import create
from graphprune.runtime.rng import isolated_rng
from graphprune.scores.base import Signals
from graphprune.scores.grand import gradient_norms


def autograd_norms(model, parameters, x, y, loss):
    norms = []
    for i in range(len(x)):
        gradients = torch.autograd.grad(loss(model(x[i : i + 1]), y[i : i + 1]), parameters)
        norms.append(torch.cat([g.flatten() for g in gradients]).norm())
    return torch.stack(norms)


@pytest.fixture
def problem():
    with isolated_rng(0, "test"):
        model = nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.ReLU(), nn.Dropout(0.5), nn.Linear(7, 3))
        model[1].running_mean.normal_()
        return model, torch.randn(9, 5), torch.randint(3, (9,))


def test_last_layer_form_is_the_gradient_of_the_last_layer(problem):
    model, x, y = problem
    model.eval()
    features = model[:-1](x).detach()
    logits = model(x).detach()
    score = create("score", "grand", reduce="last")
    score.start(9, epochs=1, num_classes=3)
    signals = Signals(log_probs=logits.log_softmax(1), targets=y, features=features)
    score.update(torch.arange(9), signals, 0)
    expected = autograd_norms(model, list(model[-1].parameters()), x, y, cross_entropy)
    torch.testing.assert_close(score.values(), expected)


@pytest.mark.parametrize("block", [4, 32])
def test_full_form_is_the_gradient_of_all_parameters(problem, block):
    model, x, y = problem
    model.train()
    norms = gradient_norms(model, x, y, block=block)
    assert model.training
    model.eval()
    torch.testing.assert_close(norms, autograd_norms(model, list(model.parameters()), x, y, cross_entropy))
    target = torch.zeros(9, 3)
    norms = gradient_norms(model, x, target, loss=mse_loss)
    torch.testing.assert_close(norms, autograd_norms(model, list(model.parameters()), x, target, mse_loss))


def test_full_form_refuses_inputs_without_gradient(problem):
    model, x, y = problem
    with pytest.raises(InputError, match="9 inputs but 2 targets"):
        gradient_norms(model, x, y[:2])
    with pytest.raises(InputError, match="no trainable parameter"):
        gradient_norms(model.requires_grad_(False), x, y)
