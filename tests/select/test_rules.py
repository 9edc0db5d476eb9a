"""Each rule against a slow reference implementation in this file."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.errors import InputError
from graphprune.graph.kmeans import kmeans
from graphprune.graph.knn import KNNGraph
from graphprune.registry import create
from graphprune.runtime.math import highest, share_by_class
from graphprune.select.base import count_kept
from graphprune.table import ScoreTable


def rows_kept(
    name: str, scores: np.ndarray, keep: float, *, seed: int = 0, options: dict, **inputs
) -> list[int]:
    table = ScoreTable(np.arange(len(scores)), scores.astype(np.float32), True)
    return create("selection", name, **options).select(table, keep, seed=seed, **inputs).ids.tolist()


@given(n=st.integers(1, 10**7), keep=st.floats(1e-9, 1.0))
def test_count_kept_rounds_half_up(n: int, keep: float) -> None:
    count = count_kept(n, keep)
    assert 1 <= count <= n
    assert count == 1 or abs(count - keep * n) <= 0.5
    assert count_kept(n, 1.0) == n


def test_ties_go_to_the_lower_row() -> None:
    assert highest(torch.tensor([1.0, 2.0, 1.0, 2.0, 1.0]), 4).tolist() == [1, 3, 0, 2]


@given(sizes=st.lists(st.integers(1, 50), min_size=1, max_size=8), keep=st.floats(0.01, 1.0))
def test_shares_follow_the_largest_remainder(sizes: list[int], keep: float) -> None:
    n = sum(sizes)
    count = count_kept(n, keep)
    labels = torch.repeat_interleave(torch.arange(len(sizes)) * 3, torch.tensor(sizes))
    shares = share_by_class(labels, count)
    floors = [size * count // n for size in sizes]
    remainders = sorted(range(len(sizes)), key=lambda c: (-(sizes[c] * count % n), c))
    for c in remainders[: count - sum(floors)]:
        floors[c] += 1
    assert [shares[3 * c] for c in range(len(sizes))] == floors


def test_window_leaves_out_the_hardest() -> None:
    scores = np.array([5.0, 9.0, 1.0, 7.0, 3.0, 8.0, 2.0, 6.0, 4.0, 0.0])
    assert rows_kept("window", scores, 0.3, options={"drop_hardest": 0.2}) == [0, 3, 7]
    # Only one sample can be left out when 9 of 10 are wanted, whatever was asked.
    assert 1 not in (kept := rows_kept("window", scores, 0.9, options={"drop_hardest": 0.5}))
    assert len(kept) == 9


def slow_ccs_budgets(scores: np.ndarray, count: int, strata: int) -> list[int]:
    width = (scores.max() - scores.min()) / strata
    sizes = [0] * strata
    for score in scores:
        sizes[min(int((score - scores.min()) / width), strata - 1)] += 1
    budgets, left = {}, count
    for step, stratum in enumerate(sorted(range(strata), key=lambda s: sizes[s])):
        budgets[stratum] = min(sizes[stratum], left // (strata - step))
        left -= budgets[stratum]
    return [budgets[s] for s in range(strata)]


@pytest.mark.parametrize(("keep", "strata"), [(0.1, 5), (0.4, 10), (0.8, 50)])
def test_ccs_draws_the_budget_of_each_stratum(keep: float, strata: int) -> None:
    scores = np.random.default_rng(0).gamma(1.0, size=200).astype(np.float32)
    kept = rows_kept("ccs", scores, keep, options={"drop_hardest": 0.15, "strata": strata})
    remaining = np.sort(scores)[:-30]
    got = scores[kept].astype(float)
    width = (float(remaining.max()) - float(remaining.min())) / strata
    drawn = np.minimum((got - remaining.min()) / width, strata - 1).astype(int)
    want = slow_ccs_budgets(remaining.astype(float), len(kept), strata)
    assert np.bincount(drawn, minlength=strata).tolist() == want


def test_ccs_leaves_out_the_largest_second_scores() -> None:
    """The authors' double-ended pruning: one score decides which samples are dropped, another one is stratified."""
    rng = np.random.default_rng(3)
    scores, mislabel = rng.gamma(1.0, size=200), rng.permutation(200).astype(np.float32)
    second = ScoreTable(np.arange(200), mislabel, True)
    options = {"drop_hardest": 0.2, "strata": 10}
    kept = rows_kept("ccs", scores, 0.4, options=options, second_scores=second)
    remaining = np.flatnonzero(mislabel < 160)
    assert set(kept) <= set(remaining.tolist())
    low, high = scores[remaining].min(), scores[remaining].max()
    drawn = np.minimum((scores[kept] - low) / (high - low) * 10, 9).astype(int)
    assert np.bincount(drawn, minlength=10).tolist() == slow_ccs_budgets(scores[remaining], 80, 10)
    # All remaining samples are kept where the budget equals their number.
    assert rows_kept("ccs", scores, 0.8, options=options, second_scores=second) == remaining.tolist()


def slow_beta_weights(scores: np.ndarray, mean_p: np.ndarray, keep: float, c: float) -> np.ndarray:
    anchor = mean_p[np.argsort(scores)[-10:]].mean()
    b = 15 * (1 - anchor) * (1 - (1 - keep) ** c)
    return scores * scipy.stats.beta.pdf(mean_p, 16 - b, b)


def test_beta_draws_without_replacement_by_score_and_density() -> None:
    """The probability of each pair, from the weights of the authors' formula."""
    scores = np.array([0.1, 0.4, 0.2, 0.3, 0.25])
    mean_p = np.array([0.9, 0.5, 0.7, 0.3, 0.6])
    w = slow_beta_weights(scores, mean_p, 0.4, 4.0)
    w /= w.sum()
    want = np.array([sum(w[i] * w[j] / (1 - w[j]) for j in range(5) if j != i) + w[i] for i in range(5)])
    assert want.sum() == pytest.approx(2)
    second = ScoreTable(np.arange(5), (1 - mean_p).astype(np.float32), True)
    counts = np.zeros(5)
    for seed in range(800):
        counts[rows_kept("beta", scores, 0.4, seed=seed, options={}, second_scores=second)] += 1
    assert np.abs(counts / 800 - want).max() < 4.5 * 0.5 / 800**0.5


def test_beta_prefers_easier_samples_as_less_is_kept() -> None:
    rng = np.random.default_rng(0)
    doubt = rng.random(2000).astype(np.float32)
    scores = (doubt * (1 - doubt)).astype(np.float32)
    second = ScoreTable(np.arange(2000), doubt, True)
    means = []
    for keep in (0.5, 0.3, 0.1):
        kept = rows_kept("beta", scores, keep, options={}, second_scores=second)
        means.append(doubt[kept].mean())
        w = slow_beta_weights(scores.astype(float), 1 - doubt.astype(float), keep, 4.0)
        first = np.random.default_rng(1).choice(2000, len(kept), replace=False, p=w / w.sum())
        assert means[-1] == pytest.approx(doubt[first].mean(), abs=0.02)
    assert means == sorted(means, reverse=True)


@pytest.mark.parametrize("c", [0.0, -1.0, float("inf"), float("nan")])
def test_beta_rejects_invalid_c_and_second_scores(c: float) -> None:
    scores = np.ones(5)
    second = ScoreTable(np.arange(5), np.full(5, 0.5, dtype=np.float32), True)
    with pytest.raises(InputError, match="c must be a number above 0"):
        rows_kept("beta", scores, 0.4, options={"c": c}, second_scores=second)
    margins = ScoreTable(np.arange(5), np.full(5, -3.0, dtype=np.float32), True)
    with pytest.raises(InputError, match="from -3 to -3"):
        rows_kept("beta", scores, 0.4, options={}, second_scores=margins)


def slow_links(graph: KNNGraph, k: int, neighbors: str) -> list[dict[int, float]]:
    links: list[dict[int, float]] = [{} for _ in range(graph.n)]
    for i in range(graph.n):
        for j, d in zip(graph.indices[i, :k].tolist(), graph.distances[i, :k].tolist(), strict=True):
            links[i][j] = d
            if neighbors == "symmetric":
                links[j][i] = d
    return links


def slow_d2(
    scores: np.ndarray, graph: KNNGraph, k: int, gamma: float, count: int, neighbors: str = "directed"
) -> list[int]:
    scores = scores - min(scores.min(), 0)
    links = slow_links(graph, k, neighbors)
    phi = scores.copy()
    for i in range(len(scores)):
        for j, d in links[i].items():
            phi[i] += np.exp(-d) * scores[j]
    kept: list[int] = []
    for _ in range(count):
        i = max((r for r in range(len(phi)) if r not in kept), key=lambda r: (phi[r], -r))
        kept.append(i)
        for j, d in links[i].items():
            phi[j] -= np.exp(-gamma * d) * phi[i]
    return sorted(kept)


@pytest.mark.parametrize("gamma", [0.1, 1.0, 0.0])
@pytest.mark.parametrize("keep", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("shift", [0.0, 5.0])
@pytest.mark.parametrize("neighbors", ["directed", "symmetric"])
def test_d2_equals_the_slow_greedy(
    gamma: float, keep: float, shift: float, neighbors: str, make: Callable[..., SimpleNamespace]
) -> None:
    data = make(80, seed=2)
    scores = (data.table.values + shift).astype(np.float64)
    want = slow_d2(scores, data.inputs["graph"], 5, gamma, count_kept(80, keep), neighbors)
    options = {"gamma": gamma, "neighbors": neighbors}
    got = rows_kept("d2", scores, keep, options=options, graph=data.inputs["graph"])
    assert got == want


def test_d2_symmetric_neighbors_work_in_both_directions() -> None:
    """Rows 0 and 1 have row 2 as their nearest, and row 2 has row 3."""
    graph = KNNGraph(torch.tensor([[2], [2], [3], [2]]), torch.tensor([[1.0], [1.0], [0.5], [0.5]]))
    scores = np.array([2.0, 1.9, 3.0, 2.5])
    # Directed: potentials 3.10, 3.00, 4.52, 4.32. Row 2 takes 4.52 from row 3 alone; rows 0 and 1 follow.
    # Symmetric: row 2 has 5.95 and takes it from rows 0, 1 and 3, which leaves -2.85, -2.95 and -1.63.
    for neighbors, want in (("directed", [0, 1, 2]), ("symmetric", [0, 2, 3])):
        options = {"k": 1, "gamma": 0.0, "neighbors": neighbors}
        assert rows_kept("d2", scores, 0.75, options=options, graph=graph) == want
    with pytest.raises(InputError, match="neighbors must be 'directed' or 'symmetric'"):
        rows_kept("d2", scores, 0.75, options={"neighbors": "both"}, graph=graph)


def test_d2_ignores_padded_links() -> None:
    """Isolated samples: every link is the row itself at distance inf, so D2 is plain top."""
    graph = KNNGraph(torch.arange(6)[:, None].repeat(1, 5), torch.full((6, 5), torch.inf))
    scores = np.array([3.0, 1.0, 4.0, 1.5, 9.0, 2.0])
    for gamma in (0.0, 0.1):
        assert rows_kept("d2", scores, 0.5, options={"gamma": gamma}, graph=graph) == [0, 2, 4]


def test_d2_spreads_over_near_duplicates() -> None:
    """Two pairs of near duplicates with scores 10, 9 and 5, 4: top keeps one pair, D2 one of each."""
    graph = KNNGraph(torch.tensor([[1], [0], [3], [2]]), torch.full((4, 1), 0.01))
    scores = np.array([10.0, 9.0, 5.0, 4.0])
    assert rows_kept("d2", scores, 0.5, options={"k": 1}, graph=graph) == [0, 2]
    assert rows_kept("top", scores, 0.5, options={}) == [0, 1]


def test_d2_refuses_a_graph_with_too_few_neighbors(data: SimpleNamespace) -> None:
    with pytest.raises(InputError, match="k is 20 but the graph has 8"):
        rows_kept("d2", data.table.values, 0.5, options={"k": 20}, graph=data.inputs["graph"])


@pytest.mark.parametrize("keep", [0.1, 0.4, 0.55, 1.0])
def test_moderate_keeps_the_middle_band_of_all_samples(keep: float, data: SimpleNamespace) -> None:
    """The authors' arithmetic: all samples in one ranking, from round(N (1 - keep) / 2) on."""
    points, labels = data.inputs["embeddings"].numpy(), data.labels
    centers = {c: np.median(points[labels == c], axis=0) for c in set(labels.tolist())}
    gaps = [np.linalg.norm(points[i].astype(float) - centers[labels[i]]) for i in range(data.n)]
    start, end = round(data.n * (0.5 - keep / 2)), round(data.n * (0.5 + keep / 2))
    want = sorted(np.argsort(gaps, kind="stable")[start:end].tolist())
    assert len(want) == count_kept(data.n, keep)
    inputs = {"labels": labels, "embeddings": data.inputs["embeddings"]}
    assert rows_kept("moderate", data.table.values, keep, options={}, **inputs) == want


def test_moderate_bands_of_a_compact_and_a_spread_class() -> None:
    """Distances 0, 1, 1, 2, 2 and 0, 10, 10, 20, 20 to the two class centers."""
    points = torch.tensor([0.0, -1.0, 1.0, -2.0, 2.0, 100.0, 90.0, 110.0, 80.0, 120.0])[:, None]
    inputs = {"labels": np.repeat([0, 1], 5), "embeddings": points}
    # Ranking by distance, ties to the lower row: 0 5 1 2 3 4 6 7 8 9.
    assert rows_kept("moderate", np.ones(10), 0.4, options={}, **inputs) == [2, 3, 4, 6]
    per_class = rows_kept("moderate", np.ones(10), 0.4, options={"band": "per_class"}, **inputs)
    assert per_class == [1, 2, 6, 7]
    with pytest.raises(InputError, match="band must be 'overall' or 'per_class'"):
        rows_kept("moderate", np.ones(10), 0.4, options={"band": "both"}, **inputs)


def test_moderate_per_class_keeps_the_middle_of_each_class(data: SimpleNamespace) -> None:
    points = data.inputs["embeddings"].numpy()
    labels = data.labels
    inputs = {"labels": labels, "embeddings": data.inputs["embeddings"]}
    kept = rows_kept("moderate", data.table.values, 0.4, options={"band": "per_class"}, **inputs)
    for label in range(3):
        members = np.flatnonzero(labels == label)
        gaps = [np.linalg.norm(points[i] - np.median(points[members], axis=0)) for i in members]
        ranked = members[np.argsort(gaps, kind="stable")]
        mine = [i for i in kept if labels[i] == label]
        start = (len(members) - len(mine)) // 2
        assert sorted(ranked[start : start + len(mine)].tolist()) == mine


def test_semdedup_drops_near_duplicates_first() -> None:
    """30 directions, each with 1 to 3 copies of slightly different length: one copy of each stays."""
    rng = np.random.default_rng(0)
    base = rng.normal(size=(30, 16))
    copies = np.arange(30) % 3 + 1
    points = np.repeat(base, copies, axis=0) * rng.uniform(0.5, 2, size=(copies.sum(), 1))
    origin = np.repeat(np.arange(30), copies)
    kept = rows_kept(
        "semdedup",
        rng.random(len(points)),
        30 / len(points),
        options={"clusters": 4},
        embeddings=torch.from_numpy(points),
    )
    assert sorted(origin[kept].tolist()) == list(range(30))


def test_semdedup_equals_the_slow_threshold_form() -> None:
    """Keeping the least redundant equals the paper's rule with the eps that keeps as many (one cluster)."""
    rng = np.random.default_rng(1)
    points = rng.normal(size=(40, 3))
    scores = rng.random(40)
    unit = points / np.linalg.norm(points, axis=1, keepdims=True)
    order = sorted(range(40), key=lambda i: -scores[i])
    redundancy = {
        i: max((float(unit[i] @ unit[j]) for j in order[:place]), default=-1.0)
        for place, i in enumerate(order)
    }
    threshold = sorted(redundancy.values())[15]
    want = sorted(i for i in range(40) if redundancy[i] <= threshold)
    options = {"clusters": 1, "order": "score"}
    assert rows_kept("semdedup", scores, 0.4, options=options, embeddings=torch.from_numpy(points)) == want


def test_semdedup_order_decides_which_duplicate_is_kept() -> None:
    points = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    scores = np.array([1.0, 2.0, 3.0])
    kept = rows_kept("semdedup", scores, 0.67, options={"clusters": 1, "order": "score"}, embeddings=points)
    assert kept == [1, 2]
    with pytest.raises(InputError, match="order must be 'centroid' or 'score'"):
        rows_kept("semdedup", scores, 0.67, options={"order": "hard"}, embeddings=points)


def test_kmeans_finds_separate_clusters_and_survives_duplicates() -> None:
    draws = torch.Generator().manual_seed(0)
    centers = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 10.0], [10.0, 10.0]])
    truth = torch.arange(4).repeat(50)
    points = centers[truth] + 0.1 * torch.randn(200, 2, generator=draws)
    found, labels = kmeans(points, 4, generator=draws)
    assert len(set(zip(truth.tolist(), labels.tolist(), strict=True))) == 4
    assert torch.cdist(found, centers).min(dim=0).values.max() < 0.1
    same, labels = kmeans(torch.ones(7, 2), 3, generator=draws)
    assert same.isfinite().all()
    assert labels.unique().numel() == 1
    with pytest.raises(InputError, match="8 clusters for 7 points"):
        kmeans(torch.ones(7, 2), 8, generator=draws)


def test_kmeans_reaches_the_inertia_of_sklearn() -> None:
    from sklearn.cluster import KMeans

    points = torch.from_numpy(np.random.default_rng(0).normal(size=(300, 4))).float()
    centers, labels = kmeans(
        points, 5, generator=torch.Generator().manual_seed(0), restarts=8, iterations=100
    )
    ours = float((points - centers[labels]).square().sum())
    theirs = KMeans(5, n_init=8, random_state=0).fit(points.numpy()).inertia_
    assert ours <= theirs * 1.01


@settings(max_examples=20, deadline=None)
@given(n=st.integers(2, 60), keep=st.floats(0.05, 1.0), beta=st.floats(0, 0.9))
def test_ccs_keeps_the_count_on_ties(n: int, keep: float, beta: float) -> None:
    scores = np.random.default_rng(n).integers(0, 3, n).astype(np.float32)
    assert len(rows_kept("ccs", scores, keep, options={"drop_hardest": beta})) == count_kept(n, keep)
