"""Dropout by random bytes: dropped and kept elements, gradients, and evaluation mode."""

from __future__ import annotations

import pytest
import torch

from graphprune.models.dropout import Dropout


@pytest.mark.parametrize("p", [0.1, 0.5, 0.996])
def test_the_expectation_is_exact_and_the_share_is_p(p):
    torch.manual_seed(0)
    x = torch.full((1001, 333), 2.0)
    dropped = Dropout(p)(x)
    # p in 256ths, exactly; a kept element is 2 / (1 - p).
    rounded = round(p * 256) / 256
    assert sorted(dropped.unique().tolist()) == [0.0, pytest.approx(2 / (1 - rounded))]
    assert (dropped == 0).double().mean() == pytest.approx(rounded, abs=5 * (rounded / x.numel()) ** 0.5)
    spread = 2 * (rounded / (1 - rounded) / x.numel()) ** 0.5
    assert dropped.double().mean() == pytest.approx(2, abs=5 * spread)
    # Neighbors that come from one 64-bit word are dropped independently.
    gone = (dropped.flatten()[: x.numel() // 8 * 8] == 0).double().view(-1, 8)
    assert (torch.corrcoef(gone.T) - torch.eye(8)).abs().max() < 0.03


def test_the_gradient_passes_where_the_element_was_kept():
    x = torch.ones(4, 5, requires_grad=True)
    dropped = Dropout(0.5)(x)
    dropped.sum().backward()
    assert torch.equal(x.grad, dropped.detach())


def test_evaluation_and_extremes():
    x = torch.randn(7, 3)
    assert torch.equal(Dropout(0.9).eval()(x), x)
    assert torch.equal(Dropout(0.0)(x), x)
    assert torch.equal(Dropout(1.0)(x), torch.zeros_like(x))


def test_same_seed_same_mask():
    torch.manual_seed(3)
    first = Dropout(0.3)(torch.ones(100))
    torch.manual_seed(3)
    assert torch.equal(Dropout(0.3)(torch.ones(100)), first)
    assert not torch.equal(Dropout(0.3)(torch.ones(100)), first)
    assert Dropout(0.3)(torch.ones(100, dtype=torch.bfloat16)).dtype == torch.bfloat16
