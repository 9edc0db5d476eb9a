"""ST-Prune: each part has its own effect and no other."""

from __future__ import annotations

import pytest
import torch

from graphprune.errors import InputError
from graphprune.samplers.st_prune import STPrune

# Four windows of equal level: one is plain, one differs over sensors, one over time, one over both.
ERRORS = torch.ones(4, 2, 2)
ERRORS[1] += torch.tensor([[0.5, -0.5], [0.5, -0.5]])
ERRORS[2] += torch.tensor([[0.5, 0.5], [-0.5, -0.5]])
ERRORS[3] += torch.tensor([[0.9, 0.0], [0.0, -0.9]])


def taught(errors: torch.Tensor = ERRORS, **options: object) -> STPrune:
    """A sampler at its second epoch that has received the errors of the first."""
    sampler = STPrune(len(errors), epochs=8, r=0.999999, **options)  # type: ignore[arg-type]
    sampler.set_epoch(0)
    rows = sampler.order
    sampler.update(rows, errors[rows].flatten(1).mean(dim=1), errors[rows])
    sampler.set_epoch(1)
    return sampler


@pytest.mark.parametrize(
    ("options", "complex_ones"),
    [
        ({}, {1, 2, 3}),  # both parts
        ({"b": 0.0}, {1, 3}),  # spatial alone
        ({"a": 0.0}, {2, 3}),  # temporal alone
    ],
)
def test_spatial_and_temporal_heterogeneity_each_have_a_switch(
    options: dict[str, float], complex_ones: set[int]
) -> None:
    sampler = taught(**options)
    complexity = sampler.complexity()
    mean = complexity.mean()
    assert {i for i in range(4) if complexity[i] > mean} == complex_ones
    assert set(sampler.order.tolist()) == complex_ones


def test_without_both_the_loss_alone_decides() -> None:
    errors = ERRORS + torch.tensor([3.0, 0.0, 0.0, 0.0])[:, None, None]
    sampler = taught(errors, a=0.0, b=0.0)
    assert (sampler.needs_losses, sampler.needs_errors) == (True, False)
    assert set(sampler.order.tolist()) == {0}


def test_weights_rescaling_and_annealing_each_have_a_switch() -> None:
    q = torch.tensor([1.0, 0.0, 0.5, 0.5])
    r = {"r": 0.0}  # nothing is left out, so that all weights are seen; the factor of L is then 1

    def weights(**options: object) -> torch.Tensor | None:
        sampler = STPrune(4, epochs=8, stationarity=q, **{"r": 0.5, **options})  # type: ignore[arg-type]
        sampler.set_epoch(0)
        sampler.update(torch.arange(4), None, ERRORS)
        sampler.set_epoch(1)
        return sampler.weights(torch.arange(4))

    # Only window 0 is simple: 1 + q (1 / (1 - r) - 1) = 2.
    assert weights(rescale=False).tolist() == [2, 1, 1, 1]
    assert weights(weigh=False) is None
    assert torch.equal(weights(rescale=False, **r), torch.ones(4))
    rescaled = weights()
    assert (rescaled[0] / rescaled[1]).item() == pytest.approx(2)
    for anneal, length in ((True, 4), (False, 3)):
        sampler = taught(anneal=anneal)
        sampler.set_epoch(7)
        assert len(sampler) == length


def test_windows_of_single_sensors_spread_over_their_linked_ones() -> None:
    # Two starts of two linked sensors; errors of equal level at the first start, of unequal level at the second.
    errors = torch.tensor([1.0, 1.0, 0.5, 1.5])[:, None, None].expand(4, 3, 1)
    links = torch.tensor([[1], [0], [3], [2]])
    alone, beside = (taught(errors, b=0.0, links=given).complexity() for given in (None, links))
    level = (errors[:, 0, 0] - 1) / errors[:, 0, 0].std(correction=0)
    torch.testing.assert_close(alone, level)
    # The std over both sensors is 0 at the first start and 0.5 at the second: standardised -1 and 1.
    torch.testing.assert_close(beside, level + torch.tensor([-1.0, -1.0, 1.0, 1.0]))
    with pytest.raises(InputError, match="links has 3 rows for 4 windows"):
        STPrune(4, epochs=8, links=links[:3])
