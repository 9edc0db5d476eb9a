"""The contract of samplers, checked for every registered sampler."""

from __future__ import annotations

import inspect
import io
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from graphprune import registry
from graphprune.errors import InputError
from graphprune.samplers.adapters.plain import step_loss
from graphprune.samplers.base import scores_by_row
from graphprune.samplers.static import StaticSampler
from graphprune.table import ScoreTable

NAMES = sorted(registry.entries("sampler"))
EPOCHS = 6


def history(loop: Any, sampler: Any, epochs: int = EPOCHS) -> list[list[int]]:
    return [torch.cat(loop.epoch(sampler, epoch)).tolist() for epoch in range(epochs)]


def test_all_fixed_names_are_registered() -> None:
    fixed = "infobatch es eswp gstds jest st_prune seta rs2 random score_weighted"
    assert set(fixed.split()) <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_the_docstring_starts_with_the_name_and_has_an_example(name: str) -> None:
    cls = registry.get("sampler", name)
    assert inspect.getdoc(cls).startswith(f"{cls.__name__}: ")
    assert ">>> " in cls.__doc__


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_valid_unique_and_counted(name: str, loop: Any) -> None:
    sampler = loop.make(name)
    for epoch in range(EPOCHS):
        trained = torch.cat(loop.epoch(sampler, epoch))
        order = sampler.order
        assert order.dtype == torch.int64
        assert len(sampler) == len(order) == len(list(sampler))
        assert list(sampler) == order.tolist()
        for rows in (order, trained):
            assert len(rows.unique()) == len(rows)
            assert rows.min() >= 0
            assert rows.max() < loop.n
        assert torch.isin(trained, order).all()


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_and_history_same_rows(name: str, loop: Any) -> None:
    first, again = (history(loop, loop.make(name)) for _ in range(2))
    assert first == again
    assert history(loop, loop.make(name, seed=1)) != first


@pytest.mark.parametrize("name", NAMES)
def test_every_epoch_has_its_own_order(name: str, loop: Any) -> None:
    sampler = loop.make(name)
    orders = [loop.epoch(sampler, epoch) and sampler.order.tolist() for epoch in range(3)]
    assert orders[0] != orders[1] != orders[2]
    assert orders[0] != sorted(orders[0])


@pytest.mark.parametrize("name", NAMES)
def test_global_randomness_is_neither_read_nor_touched(name: str, loop: Any) -> None:
    torch.manual_seed(1)
    state = torch.random.get_rng_state()
    first = history(loop, loop.make(name))
    assert torch.equal(state, torch.random.get_rng_state())
    torch.manual_seed(2)
    assert history(loop, loop.make(name)) == first


@pytest.mark.parametrize("name", NAMES)
def test_an_epoch_under_way_is_not_drawn_again(name: str, loop: Any) -> None:
    """Frameworks call set_epoch more than once; losses of this epoch must not change its order."""
    sampler = loop.make(name)
    for epoch in range(3):
        loop.epoch(sampler, epoch)
        order = sampler.order.clone()
        sampler.set_epoch(epoch)
        assert torch.equal(sampler.order, order)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("stop", [(0, 2), (2, 1), (3, 0), (19, 3)])
def test_resume_in_the_middle_of_an_epoch_is_exact(name: str, stop: tuple[int, int], loop: Any) -> None:
    stop_epoch, stop_step = stop

    def rest(sampler: Any, epoch: int, step: int, until: int) -> list[list[int]]:
        trained = []
        for e in range(epoch, until):
            sampler.set_epoch(e)
            steps = torch.split(sampler.order, sampler.candidate_batch_size(16))
            trained += [loop.step(sampler, rows).tolist() for rows in steps[step if e == epoch else 0 :]]
        return trained

    whole = loop.make(name)
    rest(whole, 0, 0, stop_epoch)
    whole.set_epoch(stop_epoch)
    for rows in torch.split(whole.order, whole.candidate_batch_size(16))[:stop_step]:
        loop.step(whole, rows)
    stream = io.BytesIO()
    torch.save(whole.state_dict(), stream)
    stream.seek(0)
    resumed = loop.make(name)
    resumed.load_state_dict(torch.load(stream, weights_only=True))
    until = stop_epoch + 3
    assert rest(resumed, stop_epoch, stop_step, until) == rest(whole, stop_epoch, stop_step, until)


@pytest.mark.parametrize("name", NAMES)
def test_a_snapshot_does_not_change_afterwards(name: str, loop: Any) -> None:
    sampler = loop.make(name)
    loop.epoch(sampler, 0)
    state = sampler.state_dict()
    before = {k: v.clone() if isinstance(v, torch.Tensor) else v for k, v in state.items()}
    loop.epoch(sampler, 1)
    loop.epoch(sampler, 2)
    for key, value in before.items():
        assert torch.equal(value, state[key]) if isinstance(value, torch.Tensor) else value == state[key]


@pytest.mark.parametrize("name", NAMES)
def test_iteration_goes_on_behind_consumed_rows(name: str, loop: Any) -> None:
    sampler = loop.make(name)
    loop.epoch(sampler, 0)
    loop.epoch(sampler, 1)
    order = sampler.order.tolist()
    resumed = loop.make(name)
    resumed.load_state_dict(sampler.state_dict(consumed=32))
    resumed.set_epoch(1)
    assert list(resumed) == order[32:]
    assert len(resumed) == len(order) - 32
    loop.epoch(resumed, 2)
    loop.epoch(sampler, 2)
    assert list(resumed) == list(sampler)


@pytest.mark.parametrize("name", NAMES)
def test_the_state_of_another_sampler_is_refused(name: str, loop: Any) -> None:
    state = loop.make(name).state_dict()
    with pytest.raises(InputError, match="not 60"):
        loop.make(name, 60).load_state_dict(state)
    with pytest.raises(InputError, match="has no rows"):
        loop.make(name).load_state_dict({k: v for k, v in state.items() if k != "rows"})


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_none_or_positive_float32(name: str, loop: Any) -> None:
    sampler = loop.make(name)
    for epoch in range(EPOCHS):
        loop.epoch(sampler, epoch)
        rows = sampler.order[:10]
        weights = sampler.weights(rows)
        if weights is not None:
            assert weights.shape == rows.shape
            assert weights.dtype == torch.float32
            assert (weights > 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_choose_keeps_the_share_that_meta_batches_are_made_for(name: str, loop: Any) -> None:
    sampler = loop.make(name)
    for epoch in range(EPOCHS):
        sampler.set_epoch(epoch)
        for rows in torch.split(sampler.order, sampler.candidate_batch_size(16)):
            if len(rows) < sampler.candidate_batch_size(16):
                continue
            losses, features = loop.losses(rows, epoch), loop.features(rows, epoch)
            kept = sampler.choose(rows, losses, features)
            assert kept.dtype == torch.int64
            assert (kept.diff() > 0).all()
            assert kept.max() < len(rows)
            assert len(kept) == 16
        loop.epoch(sampler, epoch)


@pytest.mark.parametrize("name", NAMES)
def test_a_single_row_and_a_batch_of_one_work(name: str, loop: Any) -> None:
    sampler = loop.make(name, 1)
    for epoch in range(3):
        assert [rows.tolist() for rows in loop.epoch(sampler, epoch)] == [[0]]


@pytest.mark.parametrize("name", NAMES)
def test_accumulated_micro_batches_teach_the_same(name: str, loop: Any) -> None:
    """Gradient accumulation calls update several times a step: the next order is the same."""
    whole, micro = loop.make(name), loop.make(name)
    for epoch in range(4):
        for sampler, size in ((whole, 48), (micro, 12)):
            sampler.set_epoch(epoch)
            for rows in torch.split(sampler.order, size):
                sampler.update(rows, loop.losses(rows, epoch), loop.errors(rows, epoch))
        assert torch.equal(whole.order, micro.order)


class Rows(Dataset):
    def __init__(self, n: int) -> None:
        self.n = n

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, row: int) -> tuple[int, float]:
        return row, row / 2


@pytest.mark.parametrize("name", ["infobatch", "es", "rs2"])
def test_a_real_loader_with_workers_sees_the_order(name: str, loop: Any) -> None:
    sampler = loop.make(name)
    loader = DataLoader(Rows(loop.n), batch_size=16, sampler=sampler, num_workers=2, persistent_workers=True)
    for epoch in range(3):
        sampler.set_epoch(epoch)
        seen = []
        assert len(loader) == -(-len(sampler) // 16)
        for rows, _ in loader:
            seen.append(rows)
            loop.step(sampler, rows)
        assert torch.equal(torch.cat(seen), sampler.order)
    del loader


@pytest.mark.parametrize("name", NAMES)
def test_drop_last_drops_other_rows_each_epoch(name: str, loop: Any) -> None:
    sampler = loop.make(name)
    loader = DataLoader(Rows(loop.n), batch_size=37, sampler=sampler, drop_last=True)
    left_out = []
    for epoch in range(2):
        sampler.set_epoch(epoch)
        seen = [rows for rows, _ in loader]
        assert all(len(rows) == 37 for rows in seen)
        for rows in seen:
            loop.step(sampler, rows)
        left_out.append(set(sampler.order.tolist()) - set(torch.cat(seen).tolist()))
        assert len(left_out[-1]) == len(sampler.order) % 37
    assert left_out[0] != left_out[1]


@pytest.mark.parametrize("name", NAMES)
def test_an_infinite_loss_counts_as_not_seen(name: str, loop: Any) -> None:
    """An infinite loss counts as unknown, like NaN; as the largest number it would make all other samples easy."""
    taught = []
    for bad in (float("nan"), float("inf")):
        sampler = loop.make(name)
        for epoch in range(3):
            sampler.set_epoch(epoch)
            for rows in torch.split(sampler.order, sampler.candidate_batch_size(16)):
                losses = rows.float().masked_fill(rows == 5, bad)
                features = torch.stack([rows.float().sin(), rows.float().cos()], dim=1)
                kept = sampler.choose(rows, losses, features)
                errors = losses[:, None, None].expand(-1, 2, 3) if sampler.needs_errors else None
                sampler.update(rows[kept], losses[kept], None if errors is None else errors[kept])
        sampler.set_epoch(3)
        taught.append((sampler.order.tolist(), sampler.weights(torch.arange(loop.n))))
    assert taught[0][0] == taught[1][0]
    assert (taught[0][1] is None and taught[1][1] is None) or torch.equal(taught[0][1], taught[1][1])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("world", [2, 3])
def test_ranks_share_an_epoch_evenly(name: str, world: int, loop: Any) -> None:
    whole = loop.make(name, 241)
    parts = [loop.make(name, 241).shard(rank, world) for rank in range(world)]
    for part in (whole, *parts):
        part.set_epoch(0)
    assert len({len(part) for part in parts}) == 1
    together = torch.cat([part.order for part in parts])
    assert len(together.unique()) == len(together)
    assert len(whole) - len(together) < world
    # Batches of all ranks together are those of one process with the same global batch.
    globally = whole.order[: len(together)].reshape(-1, world)
    assert torch.equal(globally, torch.stack([part.order for part in parts], dim=1))


@pytest.mark.parametrize("name", NAMES)
def test_no_row_starves(name: str, loop: Any) -> None:
    """Every row is trained on at least once within 40 epochs, though losses never change their ranks."""
    sampler = loop.make(name, 120, epochs=40)
    if name == "random":
        assert len(sampler) == 120
    seen: set[int] = set()
    for epoch in range(40):
        seen |= set(torch.cat(loop.epoch(sampler, epoch)).tolist())
    assert seen == set(range(120))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "gstds"])
def test_a_step_never_waits_for_the_device(name: str, loop: Any) -> None:
    """On the meta device there are no values: any read of one, or a tensor left on the host, raises."""
    options = {
        "es": {"anneal": 0.0},
        "eswp": {"anneal": 0.0},
        "infobatch": {"scores": torch.linspace(0, 1, loop.n)},
    }
    sampler = loop.make(name, **options.get(name, {}))
    rows = sampler.order[:16].to("meta")
    losses, errors = torch.empty(16, device="meta"), torch.empty(16, 4, 3, device="meta")
    if sampler.selects_in_batch:
        rows = rows[sampler.choose(rows, losses)]
    weights = sampler.weights(rows)
    assert (weights is not None) == (name == "infobatch")
    assert weights is None or weights.device.type == "meta"
    sampler.update(rows, losses[: len(rows)], errors[: len(rows)])
    learns = sampler.needs_losses or sampler.needs_errors
    assert all(getattr(sampler, state).is_meta for state in sampler._learned) or not learns


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "infobatch", "r": 1.0}, r"r must be a number from 0 to below 1 \(received 1\.0\)"),
        ({"name": "infobatch", "rr": 0.5}, "unknown option of sampler 'infobatch' 'rr'; did you mean 'r'"),
        ({"name": "infobatch", "scores": torch.ones(3)}, r"scores has shape \[3\] for 240"),
        ({"name": "es", "keep": 0.0}, "keep must be a number above 0 and at most 1"),
        ({"name": "es", "b1": 1.5}, "b1 must be a number from 0 to 1"),
        ({"name": "eswp", "r": -0.1}, "r must be .*received -0.1"),
        ({"name": "seta", "window": 0.0}, "window must be a number above 0"),
        ({"name": "jest", "draw": "best"}, "draw must be 'gumbel' or 'top'"),
        ({"name": "rs2", "keep": 1.5}, "keep must be .*received 1.5"),
        ({"name": "random", "keep": float("nan")}, "keep must be .*received nan"),
        (
            {"name": "st_prune", "stationarity": torch.full((240,), 2.0)},
            r"from 2 to 2; give values in \[0, 1\]",
        ),
        ({"name": "gstds", "rule": "largest"}, "rule must be .*received 'largest'"),
        ({"name": "infobach"}, "did you mean 'infobatch'"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str, loop: Any) -> None:
    name, rest = options["name"], {k: v for k, v in options.items() if k != "name"}
    known = loop.inputs(name) if name in NAMES else {}
    with pytest.raises(InputError, match=message):
        registry.create("sampler", name, **{"n": loop.n, "epochs": 4, **known, **rest})


@pytest.mark.parametrize("name", NAMES)
def test_missing_inputs_and_empty_data_are_refused(name: str, loop: Any) -> None:
    with pytest.raises(InputError, match="n must be an integer from 1"):
        registry.create("sampler", name, n=0, epochs=1)
    sampler = loop.make(name)
    if sampler.needs_losses and not sampler.selects_in_batch:
        with pytest.raises(InputError, match=r"losses have shape \[2\] .* for 3 rows.*reduction='none'"):
            sampler.update(torch.arange(3), torch.ones(2))
    if sampler.needs_errors:
        with pytest.raises(InputError, match="needs errors of 3 rows, got none"):
            sampler.update(torch.arange(3), torch.ones(3))


@pytest.mark.parametrize("name", ["infobatch", "seta", "st_prune"])
def test_a_loop_that_forgets_update_is_told(name: str, loop: Any) -> None:
    sampler = loop.make(name)
    sampler.set_epoch(0)
    with pytest.raises(InputError, match="call update"):
        sampler.set_epoch(1)


WRONG_LOSSES = [
    torch.ones(8, 1),
    torch.ones(8, 3),
    torch.ones(()),
    torch.ones(8, 8),
    torch.ones(7),
    torch.ones(8, dtype=torch.int64),
    torch.ones(8, dtype=torch.bool),
    (torch.ones(8),),
    [1.0] * 8,
    1.0,
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("epoch", [0, 3])
def test_losses_that_are_not_one_per_sample_are_refused(name: str, epoch: int, loop: Any) -> None:
    sampler = loop.make(name)
    for earlier in range(epoch):
        loop.epoch(sampler, earlier)
    sampler.set_epoch(epoch)
    rows, before = sampler.order[:8], sampler.state_dict()
    for losses in WRONG_LOSSES:
        with pytest.raises(
            InputError, match=r"losses .* per sample \[B\] \(reduction='none', mean over the other"
        ):
            sampler.choose(rows, losses, loop.features(rows, 0))
        with pytest.raises(InputError, match=r"losses .* per sample \[B\]"):
            sampler.update(rows, losses, loop.errors(rows, 0))
        with pytest.raises(InputError, match=r"losses .* per sample \[B\]|forward returned a"):
            step_loss(sampler, rows, lambda kept, losses=losses: losses)
    for kept, value in sampler.state_dict().items():
        assert torch.equal(value, before[kept]) if isinstance(value, torch.Tensor) else value == before[kept]


@pytest.mark.parametrize("name", NAMES)
def test_rows_features_and_errors_of_another_shape_are_refused(name: str, loop: Any) -> None:
    sampler = loop.make(name)
    rows, losses = torch.arange(4), torch.ones(4)
    for wrong in (rows[:, None], rows.float(), rows.bool(), rows[:0], [0, 1, 2, 3], torch.tensor(1)):
        for call in (sampler.weights, sampler.choose, lambda rows: sampler.update(rows, losses)):
            with pytest.raises(InputError, match="rows .*; give the row numbers"):
                call(wrong)
    for wrong in (torch.ones(4), torch.ones(3, 2), torch.ones(4, 2, dtype=torch.int64), "features"):
        with pytest.raises(
            InputError, match=r"features .* for 4 rows; give a floating-point tensor \[B, H\]"
        ):
            sampler.choose(rows, losses, wrong)
    for wrong in (
        torch.ones(4),
        torch.ones(4, 2),
        torch.ones(3, 2, 2),
        torch.ones(4, 2, 2, dtype=torch.int64),
    ):
        with pytest.raises(
            InputError, match=r"errors .* for 4 rows; give a floating-point tensor \[B, T, S\]"
        ):
            sampler.update(rows, losses, wrong)


def test_losses_in_half_precision_are_taken(loop: Any) -> None:
    sampler = loop.make("infobatch")
    sampler.set_epoch(0)
    sampler.update(torch.arange(4), torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.bfloat16))
    assert sampler.losses[:4].tolist() == [1.0, 2.0, 3.0, 4.0]


def test_jest_takes_losses_of_pairs_only_without_a_reference(loop: Any) -> None:
    pairs = torch.rand(8, 8, generator=torch.Generator().manual_seed(0))
    with pytest.raises(InputError, match="one floating-point loss per sample"):
        loop.make("jest", keep=0.5).choose(torch.arange(8), pairs)
    coupled = registry.create("sampler", "jest", n=8, keep=0.5, epochs=1)
    assert len(coupled.choose(torch.arange(8), pairs)) == 4


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("epochs", [0, -1, float("nan"), float("inf"), "3", None, True])
def test_invalid_numbers_of_epochs_are_refused(name: str, epochs: Any, loop: Any) -> None:
    with pytest.raises(InputError, match=r"epochs must be a number above 0 .*\(received"):
        registry.create("sampler", name, n=loop.n, **loop.inputs(name), epochs=epochs)
    with pytest.raises(InputError, match=r"epochs is .*; give the planned number"):
        StaticSampler(loop.n, rows=torch.arange(loop.n), epochs=epochs)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("n", [0, -1, 2.0, float("nan"), "3", None, True])
def test_invalid_numbers_of_samples_are_refused(name: str, n: Any, loop: Any) -> None:
    with pytest.raises(InputError, match=r"n must be an integer from 1 .*\(received"):
        registry.create("sampler", name, n=n, **loop.inputs(name), epochs=2)
    with pytest.raises(InputError, match=r"n is .*; give the number of samples"):
        StaticSampler(n, rows=torch.arange(2))


@pytest.mark.parametrize("name", NAMES)
def test_invalid_epochs_are_refused(name: str, loop: Any) -> None:
    for epoch in (-1, 1.5, float("nan"), "1", None, True):
        with pytest.raises(InputError, match=r"epoch is .*; give an integer 0, 1, 2"):
            loop.make(name).set_epoch(epoch)


def impossible_states(state: dict[str, Any], n: int) -> list[dict[str, Any]]:
    """States with one invalid value each."""
    rows = state["rows"]
    wrong: dict[str, list[Any]] = {
        "sampler": ["OtherSampler", None, 3],
        "n": [n + 1, "n", None, torch.tensor([n, n])],
        "epoch": [-1, 1.5, float("nan"), "1", None, True],
        "step": [-1, 10**9, 0.5, "1", None],
        "consumed": [-3, len(rows) + 1, 0.5, "1", None],
        "rows": [rows[:0], rows + n, rows - n, rows.float(), rows.int(), rows[:, None], rows.tolist(), "rows", None,
                 torch.cat([rows, rows[:1]])],
        "loss_weights": [torch.ones(3), -torch.ones(n), torch.full((n,), torch.nan), torch.ones(n).double(), 1.0],
    }  # fmt: skip
    for name in state.keys() - wrong.keys():
        value = state[name]
        wrong[name] = [
            value[:3],
            value[:, None],
            value.double(),
            value.fill_(torch.nan) * 1,
            -torch.inf * torch.ones(n),
            None,
        ]
    return [{**state, name: one} for name, values in wrong.items() for one in values]


@pytest.mark.parametrize("name", NAMES)
def test_an_impossible_state_is_refused_and_changes_nothing(name: str, loop: Any) -> None:
    sampler = loop.make(name)
    for epoch in range(3):
        loop.epoch(sampler, epoch)
    before = sampler.state_dict(consumed=1)
    for state in (None, [], "state", 3, torch.ones(3), {}):
        with pytest.raises(InputError, match="the state of .*; load a state that the same sampler saved"):
            sampler.load_state_dict(state)
    for key in before:
        with pytest.raises(InputError, match=f"has no {key}"):
            sampler.load_state_dict({k: v for k, v in before.items() if k != key})
    for state in impossible_states(sampler.state_dict(), loop.n):
        with pytest.raises(InputError, match="the state of .*; load a state that the same sampler saved"):
            sampler.load_state_dict(state)
    after = sampler.state_dict(consumed=1)
    assert before.keys() == after.keys()
    for key, value in before.items():
        assert torch.equal(value, after[key]) if isinstance(value, torch.Tensor) else value == after[key]


def test_the_state_of_a_relative_is_refused(loop: Any) -> None:
    for one, other in (("eswp", "es"), ("es", "eswp"), ("infobatch", "seta"), ("seta", "infobatch")):
        with pytest.raises(InputError, match="was saved by"):
            loop.make(other).load_state_dict(loop.make(one).state_dict())


def test_more_rows_consumed_than_there_are_is_refused(loop: Any) -> None:
    for consumed in (-1, loop.n + 1):
        with pytest.raises(
            InputError, match=f"consumed is {consumed}; give a number of rows from 0 to {loop.n}"
        ):
            loop.make("infobatch").state_dict(consumed=consumed)


@pytest.mark.parametrize("name", ["score_weighted", "es", "infobatch"])
def test_warm_start_scores_keep_the_order_of_float64(name: str, loop: Any) -> None:
    close = ScoreTable(np.arange(200), 1 - 1e-9 * np.arange(200)[::-1], True)
    scores = scores_by_row(close, np.arange(200))
    assert scores.dtype == torch.float64
    assert (scores.diff() > 0).all()
    sampler = registry.create("sampler", name, n=200, epochs=9, scores=scores)
    if name == "infobatch":  # the lower half is easy, and half of it is left out
        missing = sorted(set(range(200)) - set(sampler.order.tolist()))
        assert 30 < len(missing) < 70
        assert max(missing) < 100
    else:
        assert ((sampler.s if name == "es" else sampler.probabilities).diff() > 0).all()
