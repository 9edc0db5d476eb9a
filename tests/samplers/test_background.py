"""Background: all seeds in every epoch, plus rotating extra samples."""

import pytest
import torch

from graphprune.errors import InputError
from graphprune.samplers.background import BackgroundSampler

SEEDS = torch.tensor([1, 4, 7])


def orders(background, epochs=7, n=20, seed=3):
    sampler = BackgroundSampler(n, seeds=SEEDS, background=background, epochs=epochs, seed=seed)
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        yield sampler.order


@pytest.mark.parametrize("background", [1, 2.4, 5])
def test_seeds_come_every_epoch_and_others_take_turns(background):
    visits = torch.zeros(20, dtype=torch.int64)
    for order in orders(background):
        assert len(order) == 3 + round(3 * background)
        assert torch.isin(SEEDS, order).all()
        visits += torch.bincount(order, minlength=20)
    assert (visits[SEEDS] == 7).all()
    others = visits[torch.tensor([i for i in range(20) if i not in SEEDS.tolist()])]
    assert others.max() - others.min() <= 1


def test_no_background_is_the_seeds_alone_in_the_static_order():
    from graphprune.samplers.static import StaticSampler

    static = StaticSampler(20, rows=SEEDS, epochs=7, seed=3)
    for epoch, order in enumerate(orders(0)):
        static.set_epoch(epoch)
        assert torch.equal(order, static.order)


def test_never_more_than_there_are():
    (first, *_) = orders(100)
    assert sorted(first.tolist()) == list(range(20))


def test_a_negative_background_is_refused():
    with pytest.raises(InputError, match="background is -1"):
        BackgroundSampler(20, seeds=SEEDS, background=-1)
