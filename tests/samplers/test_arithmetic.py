"""Each sampler's arithmetic against slow loops, expectations and hand-made cases."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import rankdata

from graphprune.errors import InputError
from graphprune.registry import create
from graphprune.runtime.math import relative_ranks
from graphprune.samplers.base import scores_by_row
from graphprune.samplers.es import ES, draw_by_weight
from graphprune.samplers.eswp import ESWP
from graphprune.samplers.gstds import GSTDS, positions
from graphprune.samplers.infobatch import InfoBatch
from graphprune.samplers.jest import JEST, joint_draw
from graphprune.samplers.score_weighted import ScoreWeighted
from graphprune.samplers.seta import SeTa
from graphprune.samplers.st_prune import STPrune
from graphprune.samplers.static import StaticSampler
from graphprune.samplers.stationarity import roughness, stationarity
from graphprune.samplers.warm import fill_unseen
from graphprune.scores.st_complexity import complexity_parts
from graphprune.select.base import Selection
from graphprune.table import ScoreTable


def second_epoch(sampler: Any, losses: torch.Tensor) -> Any:
    """The sampler at the start of its second epoch, all losses known."""
    sampler.set_epoch(0)
    rows = sampler.order
    errors = losses[rows][:, None, None].expand(-1, 2, 2) if sampler.needs_errors else None
    sampler.update(rows, losses[rows], errors)
    sampler.set_epoch(1)
    return sampler


def weighted_counts(make: Any, losses: torch.Tensor, seeds: int) -> torch.Tensor:
    """Each row's mean weight in the second epoch over many seeds; 0 where it is left out."""
    total = torch.zeros(len(losses))
    for seed in range(seeds):
        sampler = second_epoch(make(seed), losses)
        weights = sampler.weights(sampler.order)
        total[sampler.order] += torch.ones(len(sampler)) if weights is None else weights
    return total / seeds


LOSSES = torch.tensor([0.1, 0.9, 0.2, 3.0, 0.4, 2.0, 0.3, 1.5, 0.05, 0.6])


@pytest.mark.parametrize("r", [0.3, 0.5, 0.8])
def test_infobatch_expects_the_full_gradient(r: float) -> None:
    """Over an epoch the expected weighted sum of any per-sample gradients is their plain sum."""
    seeds = 1500
    counts = weighted_counts(lambda seed: InfoBatch(10, r=r, epochs=10, seed=seed), LOSSES, seeds)
    easy = LOSSES.mean() > LOSSES
    assert (counts[~easy] == 1).all()
    # A kept easy row counts 1 / (1 - r) with probability 1 - r: standard error sqrt(r / (1 - r) / seeds).
    assert (counts[easy] - 1).abs().max() < 4.5 * (r / (1 - r) / seeds) ** 0.5
    gradients = torch.randn(10, 7, generator=torch.Generator().manual_seed(0))
    error = (counts @ gradients - gradients.sum(dim=0)).norm() / gradients.sum(dim=0).norm()
    assert error < 0.1


@pytest.mark.parametrize(("r", "kept_easy"), [(0.5, 3), (0.3, 4), (0.8, 1), (0.0, 7)])
def test_infobatch_keeps_an_exact_number_as_the_authors_draw_it(r: float, kept_easy: int) -> None:
    """7 of the 10 losses are below the mean, .905: int((1 - r) 7) of them are kept, each equally often."""
    seeds, counts = 600, torch.zeros(10)
    for seed in range(seeds):
        sampler = second_epoch(InfoBatch(10, r=r, exact=True, epochs=10, seed=seed), LOSSES)
        assert len(sampler) == 3 + kept_easy
        counts[sampler.order] += 1
    assert (counts[[3, 5, 7]] == seeds).all()
    easy = counts[[0, 1, 2, 4, 6, 8, 9]] / seeds
    assert (easy - kept_easy / 7).abs().max() < 4.5 * 0.5 / seeds**0.5
    weights = sampler.weights(torch.arange(10))
    assert weights[[3, 5, 7]].tolist() == [1, 1, 1]
    assert weights[[0, 1, 2, 4, 6, 8, 9]].tolist() == pytest.approx([1 / (1 - r)] * 7)


def test_infobatch_prunes_when_and_whom_it_should() -> None:
    sampler = InfoBatch(10, r=0.999999, epochs=8, delta=0.75)
    lengths = []
    for epoch in range(8):
        sampler.set_epoch(epoch)
        lengths.append(len(sampler))
        if epoch in (0, 6, 7):
            assert sampler.weights(sampler.order) is None
        else:
            assert set(sampler.order.tolist()) == {3, 5, 7}
        sampler.update(sampler.order, LOSSES[sampler.order])
    # Epochs 2 to 6 of 8 prune (counted from 1): the first is complete and delta * epochs = 6 ends it.
    assert lengths == [10, 3, 3, 3, 3, 3, 10, 10]


def test_infobatch_keeps_stale_losses_and_unseen_rows() -> None:
    sampler = InfoBatch(4, r=0.5, epochs=10)
    sampler.update(torch.tensor([0, 1]), torch.tensor([1.0, 5.0]))
    sampler.update(torch.tensor([1, 2]), torch.tensor([float("nan"), 2.0]))
    assert sampler.losses[[0, 2]].tolist() == [1, 2]  # rows 1 and 3 have no finite loss: they are kept
    for epoch in range(1, 9):
        sampler.set_epoch(epoch)
        assert {1, 2, 3} <= set(sampler.order.tolist())


@pytest.mark.parametrize("name", ["infobatch", "st_prune"])
def test_warm_scores_prune_the_first_epoch(name: str) -> None:
    scores = torch.arange(100.0)
    sampler = create("sampler", name, n=100, r=0.999999, scores=scores, epochs=10)
    assert set(sampler.order.tolist()) == set(range(50, 100))
    losses = 200 - 2 * sampler.order.float()
    errors = losses[:, None, None].expand(-1, 2, 2)
    sampler.update(sampler.order, losses, errors)
    sampler.set_epoch(1)
    # Unseen rows had lower scores than all seen ones, so they take the smallest loss, 2: the mean is 26.5.
    assert set(sampler.order.tolist()) == set(range(50, 87))


@settings(max_examples=40, deadline=None)
@given(
    losses=st.lists(st.one_of(st.floats(0, 9, width=32), st.just(float("inf"))), min_size=1, max_size=30),
    seed=st.integers(0, 99),
)
def test_fill_unseen_is_a_quantile_map(losses: list[float], seed: int) -> None:
    known = torch.tensor(losses)
    scores = torch.randn(len(losses), generator=torch.Generator().manual_seed(seed))
    filled = fill_unseen(known, scores)
    seen = known.isfinite()
    assert torch.equal(fill_unseen(known, None), known)
    if not seen.any():
        assert torch.equal(filled, scores)
        return
    assert torch.equal(filled[seen], known[seen])
    ordered = sorted(known[seen].tolist())
    for i in (~seen).nonzero()[:, 0].tolist():
        lower = sum(1 for j in seen.nonzero()[:, 0].tolist() if scores[j] < scores[i])
        assert filled[i] == np.float32(ordered[min(lower, len(ordered) - 1)])


@given(values=st.lists(st.integers(-5, 5), min_size=1, max_size=30))
def test_relative_ranks_are_mean_ranks(values: list[int]) -> None:
    want = (rankdata(values) - 1) / max(len(values) - 1, 1)
    assert np.allclose(relative_ranks(torch.tensor(values)).numpy(), want)


def test_es_follows_its_recursions() -> None:
    n, b1, b2 = 6, 0.3, 0.7
    sampler = ES(n, b1=b1, b2=b2, keep=0.5, anneal=0.1, epochs=10)
    s, w = [1 / n] * n, [1 / n] * n
    rng = np.random.default_rng(0)
    for epoch in range(10):
        sampler.set_epoch(epoch)
        assert sampler.selects_in_batch == (epoch not in (0, 9))
        for rows in torch.split(sampler.order, 4):
            losses = torch.from_numpy(rng.random(len(rows))).float()
            if sampler.selects_in_batch:
                kept = sampler.choose(rows, losses)
                assert len(kept) == len(rows) // 2
                sampler.update(rows[kept], 99 * losses[kept])  # choose has already received them
            else:
                sampler.update(rows, losses)
            for row, loss in zip(rows.tolist(), losses.tolist(), strict=True):
                w[row] = b1 * s[row] + (1 - b1) * loss
                s[row] = b2 * s[row] + (1 - b2) * loss
    assert sampler.w.tolist() == pytest.approx(w, rel=1e-5)
    assert sampler.s.tolist() == pytest.approx(s, rel=1e-5)


def test_es_with_full_smoothing_is_uniform() -> None:
    """b1 = b2 = 1 never learns: every row is kept equally often, whatever its loss."""
    n, epochs = 32, 400
    sampler = ES(n, b1=1.0, b2=1.0, keep=0.25, anneal=0.0, epochs=epochs)
    counts = torch.zeros(n)
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        for rows in torch.split(sampler.order, 16):
            counts[rows[sampler.choose(rows, rows.float() ** 2)]] += 1
    assert sampler.w.unique().tolist() == [pytest.approx(1 / n)]
    # The draw is fresh in each step: the same positions would favour some places of the batch.
    sampler.set_epoch(epochs + 1)
    drawn = [tuple(sampler.choose(torch.arange(16), torch.ones(16)).tolist()) for _ in range(6)]
    assert len(set(drawn)) > 3
    expected = epochs / 4
    assert ((counts - expected).abs() < 4.5 * (expected * 0.75) ** 0.5).all()
    eswp = ESWP(n, b1=1.0, b2=1.0, r=0.25, epochs=2000, anneal=0.0)
    seen = torch.zeros(n)
    for epoch in range(600):
        eswp.set_epoch(epoch)
        assert len(eswp) == 24
        seen[eswp.order] += 1
    assert ((seen - 450).abs() < 4.5 * (450 * 0.25) ** 0.5).all()


@pytest.mark.parametrize("epochs", [2, 5, 9, 12])
def test_eswp_sees_every_sample_however_few_the_epochs(epochs: int) -> None:
    sampler = ESWP(400, epochs=epochs)
    seen = torch.zeros(400, dtype=torch.bool)
    for epoch in range(epochs):
        sampler.set_epoch(epoch)
        seen[sampler.order] = True
    assert seen.all()
    sampler.set_epoch(1)
    assert len(sampler) < 400


def test_es_leaves_weights_alone_where_a_loss_is_not_finite() -> None:
    sampler = ES(4, anneal=0.0, keep=0.5, epochs=4)
    rows = torch.arange(4)
    sampler.choose(rows, torch.tensor([1.0, float("nan"), float("inf"), 2.0]))
    assert sampler.s[1] == sampler.s[2] == sampler.w[1] == 0.25
    assert sampler.w.isfinite().all()


def test_es_warm_scores_replace_the_first_plain_epochs() -> None:
    sampler = ES(5, scores=torch.tensor([3.0, 1.0, 2.0, 5.0, 4.0]), anneal=0.25, epochs=4)
    assert sampler.s.tolist() == [1.0, 0.0, 0.5, 2.0, 1.5]
    assert [sampler.is_plain(epoch) for epoch in range(4)] == [False, False, False, True]


def test_draws_are_sequential_without_replacement() -> None:
    """Inclusion frequencies equal those of drawing one after the other, by enumeration."""
    weights = [1.0, 2.0, 3.0, 4.0]
    want = np.zeros(4)
    for first, second in itertools.permutations(range(4), 2):
        p = weights[first] / 10 * weights[second] / (10 - weights[first])
        want[[first, second]] += p
    got, rounds = np.zeros(4), 6000
    draws = torch.Generator().manual_seed(0)
    for _ in range(rounds):
        got[draw_by_weight(torch.tensor(weights), 2, draws).numpy()] += 1
    assert np.abs(got / rounds - want).max() < 4.5 * 0.5 / rounds**0.5
    zero = draw_by_weight(torch.tensor([0.0, 1.0, 0.0, 1.0]), 2, draws)
    assert sorted(zero.tolist()) == [1, 3]


@pytest.mark.parametrize("options", [{"window": 0.5}, {"window": 0.3, "groups": 4, "r": 0.0}])
def test_seta_slides_from_easy_to_hard(options: dict[str, Any]) -> None:
    """Losses in well-separated groups that k-means always finds."""
    groups, window = options.get("groups", 10), options["window"]
    n = 100 * groups
    group = torch.arange(n) % groups
    losses = 10.0 * group + torch.rand(n, generator=torch.Generator().manual_seed(0))
    sampler = SeTa(n, epochs=40, **options)
    size = max(1, round(groups * window))
    trained = set()
    for epoch in range(40):
        sampler.set_epoch(epoch)
        got = set(group[sampler.order].tolist())
        if epoch == 0 or epoch >= 35:
            assert len(sampler) == round(n * (1 - options.get("r", 0.1)))
        else:
            start = epoch % (groups - size + 1)
            assert got == set(range(start, start + size))
        trained |= got
        sampler.update(torch.arange(n), losses)
    assert trained == set(range(groups))


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.0])
def test_seta_groups_heavy_tails_as_sklearn_does(sigma: float) -> None:
    """The share in the window lies within that of the authors' k-means over its random starts."""
    from sklearn.cluster import KMeans

    n = 20_000
    losses = np.random.default_rng(0).lognormal(0, sigma, n).astype(np.float32)
    theirs = []
    for start in range(12):
        found = KMeans(10, random_state=start).fit(losses[:, None])
        rank = rankdata(found.cluster_centers_[:, 0])[found.labels_] - 1
        theirs.append([((rank >= s) & (rank < s + 5)).mean() for s in range(6)])
    sampler = SeTa(n, r=0.0, epochs=20)
    sampler.update(torch.arange(n), torch.from_numpy(losses))
    for epoch in range(6, 12):  # the window starts at epoch mod 6
        sampler.set_epoch(epoch)
        shares = np.array(theirs)[:, epoch - 6]
        assert shares.min() <= len(sampler) / n <= shares.max()


def test_seta_survives_equal_and_unknown_losses() -> None:
    sampler = SeTa(50, epochs=10, r=0.0)
    sampler.update(torch.arange(20), torch.ones(20))
    sampler.set_epoch(3)
    assert len(sampler) == 50


@pytest.mark.parametrize("q", [0.0, 0.4, 1.0])
def test_st_prune_bias_is_as_documented(q: float) -> None:
    """Without rescaling a window of L counts 1 - (1 - q) r in expectation: exactly 1 for q = 1."""
    r, seeds = 0.5, 1500

    def make(seed: int) -> STPrune:
        return STPrune(10, r=r, stationarity=torch.full((10,), q), rescale=False, epochs=10, seed=seed)

    counts = weighted_counts(make, LOSSES, seeds)
    simple = LOSSES.mean() > LOSSES
    assert (counts[~simple] == 1).all()
    weight = 1 + q * (1 / (1 - r) - 1)
    bound = 4.5 * weight * (r * (1 - r) / seeds) ** 0.5
    assert (counts[simple] - (1 - (1 - q) * r)).abs().max() < bound


def test_st_prune_rescales_to_mean_one_and_each_part_can_be_switched_off() -> None:
    q = torch.linspace(0, 1, 10)
    rescaled = second_epoch(STPrune(10, stationarity=q, epochs=10), LOSSES)
    assert rescaled.weights(rescaled.order).mean() == pytest.approx(1)
    plain = second_epoch(STPrune(10, stationarity=q, rescale=False, epochs=10), LOSSES)
    ratio = plain.weights(plain.order) / rescaled.weights(plain.order)
    assert ratio.max() == pytest.approx(ratio.min())
    unweighed = second_epoch(STPrune(10, stationarity=q, weigh=False, epochs=10), LOSSES)
    assert unweighed.weights(unweighed.order) is None
    endless = STPrune(10, r=0.999999, anneal=False, epochs=4)
    second_epoch(endless, LOSSES)
    endless.set_epoch(3)
    assert len(endless) == 3
    losses_only = STPrune(10, a=0, b=0, epochs=4)
    assert losses_only.needs_losses
    assert not losses_only.needs_errors
    assert set(second_epoch(losses_only, LOSSES).order.tolist()) >= {3, 5, 7}


def test_complexity_equals_the_slow_form() -> None:
    rng = np.random.default_rng(0)
    errors = rng.gamma(1.0, size=(30, 6, 5)).astype(np.float32)
    errors[rng.random(errors.shape) < 0.1] = np.nan
    errors[3] = 0.5
    a, b = 0.7, 1.3
    raw = np.zeros((3, 30))
    for i, e in enumerate(errors.astype(float)):
        raw[0, i] = np.nanmean(e)
        raw[1, i] = np.nanstd([np.nanmean(e[:, s]) for s in range(5)])
        raw[2, i] = np.nanstd([np.nanmean(e[t]) for t in range(6)])
    for got, want in zip(complexity_parts(torch.from_numpy(errors)), raw, strict=True):
        assert np.allclose(got.numpy(), want, atol=1e-6)
    sampler = STPrune(31, a=a, b=b, epochs=4)
    sampler.update(torch.arange(30), torch.zeros(30), torch.from_numpy(errors))
    z = [(part - part.mean()) / part.std() for part in raw]
    assert np.allclose(sampler.complexity()[:30].numpy(), z[0] + a * z[1] + b * z[2], atol=1e-4)
    assert sampler.complexity()[30] == np.inf
    # One sensor: no spatial part at all, and no division by zero.
    single = STPrune(4, epochs=4)
    single.update(torch.arange(4), torch.zeros(4), torch.rand(4, 3, 1))
    assert single.complexity().isfinite().all()
    # A window without a single value is not seen.
    single.update(torch.tensor([2]), torch.zeros(1), torch.full((1, 3, 1), torch.nan))
    assert single.complexity()[2] == np.inf


def test_stationarity_equals_the_slow_form() -> None:
    rng = np.random.default_rng(0)
    windows = rng.normal(size=(20, 7, 3)).cumsum(axis=1)
    windows[4] = 1.0
    energy, change = [], []
    for x in windows:
        energy.append(np.mean([(x[t + 1, s] - x[t, s]) ** 2 for t in range(6) for s in range(3)]))
        parts = []
        for s in range(3):
            first, second = x[:3, s], x[4:, s]
            parts.append((first.mean() - second.mean()) ** 2 + abs(first.var() - second.var()))
        change.append(np.mean(parts))
    rough = roughness(torch.from_numpy(windows))
    assert np.allclose(rough.numpy(), np.stack([energy, change], axis=1), rtol=1e-4, atol=1e-6)
    want = 1 - ((rankdata(energy) - 1) / 19 + (rankdata(change) - 1) / 19) / 2
    assert np.allclose(stationarity(rough).numpy(), want, atol=1e-6)
    assert stationarity(rough)[4] == 1
    assert stationarity(rough[:1]).tolist() == [1]
    missing = torch.from_numpy(windows[:2]).float()
    missing[0, 2] = torch.nan
    missing[1] = torch.nan
    assert roughness(missing).isfinite().all()
    with pytest.raises(InputError, match="T >= 2"):
        roughness(torch.ones(3, 1, 2))


def test_jest_top_takes_the_largest_excess_loss() -> None:
    reference = torch.tensor([0.5, 0.1, 0.9, 0.2, 0.0, 0.4])
    sampler = JEST(6, reference_losses=reference, keep=0.5, draw="top", epochs=2)
    rows = torch.tensor([5, 3, 1, 0, 2, 4])
    losses = torch.tensor([1.0, 0.3, 2.0, 0.4, 3.0, 0.2])
    assert rows[sampler.choose(rows, losses)].tolist() == [5, 1, 2]
    assert sampler.candidate_batch_size(16) == 32
    with pytest.raises(InputError, match="needs reference_losses"):
        JEST(6).choose(rows, losses)


def test_the_joint_draw_follows_pairs() -> None:
    """Two cliques of strong pairs: whatever is drawn first, the rest comes from the same clique."""
    pairs = torch.zeros(12, 12)
    pairs[:6, :6] = 40.0
    pairs[6:, 6:] = 40.0
    pairs.fill_diagonal_(0)
    sides = []
    for seed in range(20):
        drawn = joint_draw(pairs, 6, 6, torch.Generator().manual_seed(seed))
        assert len(drawn.unique()) == 6
        assert len({int(i) // 6 for i in drawn}) == 1
        sides.append(int(drawn[0]) // 6)
    assert {0, 1} == set(sides)
    for count, chunks in ((5, 3), (2, 16), (12, 5)):
        assert len(joint_draw(pairs, count, chunks, torch.Generator().manual_seed(0)).unique()) == count
    sampler = JEST(12, keep=0.5, epochs=2)
    kept = sampler.choose(torch.arange(12), pairs)
    assert len(kept) == 6
    assert len({int(i) // 6 for i in kept}) <= 2


def test_the_joint_draw_updates_logits_by_both_directions() -> None:
    """With one draw a chunk and huge scores the greedy order is certain: check it against a slow loop."""
    rng = np.random.default_rng(0)
    scores = 1e4 * rng.normal(size=(15, 15))
    drawn = joint_draw(torch.from_numpy(scores).float(), 7, 7, torch.Generator().manual_seed(0)).tolist()
    chosen: list[int] = []
    for _ in range(7):
        logits = {
            i: scores[i, i] + sum(scores[k, i] + scores[i, k] for k in chosen)
            for i in range(15)
            if i not in chosen
        }
        chosen.append(max(logits, key=lambda i: logits[i]))
    assert drawn == chosen


@pytest.mark.parametrize("rule", ["extreme", "central", "balanced"])
def test_gstds_rules_do_not_see_the_sign(rule: str) -> None:
    vector = torch.randn(40, generator=torch.Generator().manual_seed(0))
    assert positions(vector, 13, rule).tolist() == positions(-vector, 13, rule).tolist()


def test_gstds_rules_keep_what_they_say() -> None:
    vector = torch.tensor([-0.5, 0.4, 0.3, 0.2, -0.1, 0.05])
    assert set(positions(vector, 3, "extreme").tolist()) == {0, 1, 2}
    assert set(positions(vector, 3, "central").tolist()) == {5, 4, 3}
    assert set(positions(vector, 4, "balanced").tolist()) == {0, 1, 2, 4}
    assert set(positions(vector, 6, "balanced").tolist()) == set(range(6))


def test_gstds_ratio_schedules() -> None:
    def ratios(**options: Any) -> list[float]:
        sampler = GSTDS(8, epochs=5, **options)
        return [round(sampler.filter_ratio(epoch), 4) for epoch in range(6)]

    assert ratios(filter=0.4) == [0.4] * 6
    assert ratios(filter=0.8, schedule="linear") == [0, 0.2, 0.4, 0.6, 0.8, 0.8]
    assert ratios(filter=0.8, schedule="cosine") == [0, 0.1172, 0.4, 0.6828, 0.8, 0.8]
    assert ratios(filter=[0.1, 0.5]) == [0.1, 0.5, 0.5, 0.5, 0.5, 0.5]
    with pytest.raises(InputError, match="filter must be a number from 0 to below 1 or a list"):
        ratios(filter=1.0)


def test_gstds_by_reference_features_and_by_graph_needs_no_forward(graph: Any, loop: Any) -> None:
    rows = torch.randperm(loop.n, generator=torch.Generator().manual_seed(0))[:64]
    embeddings = torch.randn(loop.n, 6, generator=torch.Generator().manual_seed(1))
    reference = GSTDS(loop.n, epochs=1, embeddings=embeddings, filter=0.75)
    learner = GSTDS(loop.n, epochs=1, filter=0.75)
    assert not reference.needs_forward
    assert learner.needs_features
    kept = reference.choose(rows)
    assert len(kept) == 16
    assert torch.equal(kept, learner.choose(rows, features=embeddings[rows]))
    by_graph = GSTDS(loop.n, epochs=1, graph=graph, filter=0.75)
    assert len(by_graph.choose(rows)) == 16
    with pytest.raises(InputError, match="received neither losses nor features"):
        learner.choose(rows)
    with pytest.raises(InputError, match="embeddings covers 3 samples"):
        GSTDS(loop.n, epochs=1, embeddings=embeddings[:3])


@pytest.mark.parametrize("features", [torch.ones(6, 3), torch.zeros(6, 3), torch.eye(6), -torch.eye(6)])
def test_gstds_degenerate_batches_keep_their_share(features: torch.Tensor) -> None:
    """Constant, zero and mutually orthogonal features are indistinguishable; exactly half is still kept."""
    sampler = GSTDS(6, epochs=1, filter=0.5)
    kept = [sampler.choose(torch.arange(6), features=features) for _ in range(2)]
    assert len(kept[0]) == 3
    assert torch.equal(*kept)
    for size in (1, 2, 3):
        assert len(sampler.choose(torch.arange(size), features=features[:size])) == -(-size // 2)
    with pytest.raises(InputError, match="NaN"):
        sampler.choose(torch.arange(6), features=torch.full((6, 3), torch.nan))


@pytest.mark.parametrize("prior", ["rank", "softmax", "linear"])
def test_score_weighted_draws_by_its_prior(prior: Any) -> None:
    scores = torch.tensor([0.0, 1.0, 2.0, 7.0])
    values = scores.numpy().astype(float)
    weight = {
        "rank": np.arange(4) / 3,
        "softmax": np.exp((values - values.mean()) / values.std()),
        "linear": values,
    }[prior]
    want = 0.8 * weight / weight.sum() + 0.2 / 4
    sampler = ScoreWeighted(4, scores=scores, prior=prior, uniform=0.2, keep=0.25, epochs=9)
    assert sampler.probabilities.tolist() == pytest.approx(want.tolist(), rel=1e-5)
    counts = np.zeros(4)
    for epoch in range(3000):
        sampler.set_epoch(epoch)
        counts[sampler.order.numpy()] += 1
    assert np.abs(counts / 3000 - want).max() < 4.5 * 0.5 / 3000**0.5
    constant = ScoreWeighted(4, scores=torch.ones(4), prior=prior)
    assert constant.probabilities.tolist() == pytest.approx([0.25] * 4)


def test_score_weighted_needs_scores() -> None:
    with pytest.raises(InputError, match="needs scores"):
        create("sampler", "score_weighted", n=4)


@settings(max_examples=60, deadline=None)
@given(n=st.integers(1, 60), keep=st.floats(0.02, 1.0), seed=st.integers(0, 9), first=st.integers(0, 5))
def test_rs2_sees_every_sample_once_a_round(n: int, keep: float, seed: int, first: int) -> None:
    """As the authors do: disjoint epochs, the last one filled up from the head of the same permutation."""
    sampler = create("sampler", "rs2", n=n, keep=keep, seed=seed, epochs=10)
    count = max(1, int(keep * n + 0.5))
    length = -(-n // count)
    seen: list[int] = []
    for epoch in range(first * length, (first + 1) * length):
        sampler.set_epoch(epoch)
        order = sampler.order.tolist()
        assert len(set(order)) == len(order) == count
        seen += order
    assert sorted(seen[:n]) == list(range(n))
    assert seen[n:] == seen[: len(seen) - n]


@pytest.mark.parametrize(("keep", "rounds"), [(0.3, 4), (0.7, 2), (0.5, 2), (1.0, 1)])
def test_rs2_has_seen_all_samples_after_one_over_keep_epochs(keep: float, rounds: int) -> None:
    sampler = create("sampler", "rs2", n=1000, keep=keep, epochs=10)
    seen: set[int] = set()
    for epoch in range(rounds):
        sampler.set_epoch(epoch)
        seen |= set(sampler.order.tolist())
    assert len(seen) == 1000


def test_rs2_orders_are_functions_of_seed_and_epoch_alone() -> None:
    whole = create("sampler", "rs2", n=23, keep=0.3, seed=4, epochs=12)
    orders = []
    for epoch in range(12):
        whole.set_epoch(epoch)
        orders.append(whole.order.tolist())
    for epoch in (7, 2, 11, 3, 0):  # out of order, from fresh and used samplers alike
        fresh = create("sampler", "rs2", n=23, keep=0.3, seed=4, epochs=12)
        for sampler in (fresh, whole):
            sampler.set_epoch(epoch)
            assert sampler.order.tolist() == orders[epoch]
    other = create("sampler", "rs2", n=23, keep=0.3, seed=5, epochs=12)
    assert other.order.tolist() != orders[0]
    free = create("sampler", "rs2", n=23, keep=0.3, replacement=True, seed=4, epochs=12)
    drawn = []
    for epoch in range(4):
        free.set_epoch(epoch)
        drawn += free.order.tolist()
        assert len(set(free.order.tolist())) == 7
    assert len(set(drawn)) < 23  # independent epochs overlap


@pytest.mark.parametrize(
    ("name", "options", "share"),
    [
        ("rs2", {"keep": 0.3}, 0.3),
        ("random", {"keep": 0.3}, 0.3),
        ("score_weighted", {"keep": 0.3}, 0.3),
        ("es", {"keep": 0.25, "anneal": 0.0}, 0.25),
        ("eswp", {"keep": 0.25, "r": 0.2, "anneal": 0.0}, 0.2),
        ("jest", {"keep": 0.2}, 0.2),
        ("gstds", {"filter": 0.75}, 0.25),
    ],
)
def test_the_kept_fraction_is_what_was_asked(
    name: str, options: dict[str, Any], share: float, loop: Any
) -> None:
    sampler = loop.make(name, **options)
    trained = sum(len(rows) for epoch in range(8) for rows in loop.epoch(sampler, epoch, batch_size=15))
    assert trained / (8 * loop.n) == pytest.approx(share, abs=0.01)


def test_a_selection_becomes_a_sampler_by_ids() -> None:
    ids = np.array([3, 8, 20, 41])
    selection = Selection(np.array([8, 41]), np.array([2.0, 0.5], dtype=np.float32))
    sampler = StaticSampler.from_selection(selection, ids)
    assert sorted(sampler.order.tolist()) == [1, 3]
    assert sampler.weights(torch.tensor([3, 1])).tolist() == [0.5, 2.0]
    with pytest.raises(InputError, match="selection: 1 of 1 ids are not among the 4"):
        StaticSampler.from_selection(Selection(np.array([9]), np.ones(1, dtype=np.float32)), ids)
    with pytest.raises(InputError, match="rows contains duplicates"):
        StaticSampler(4, rows=torch.tensor([1, 1]))
    with pytest.raises(InputError, match="training samples: 1 of 4 ids"):
        scores_by_row(ScoreTable([3, 8, 20], [1.0, 2.0, 3.0], True), ids)
