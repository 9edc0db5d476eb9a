"""k-means of numbers against an exhaustive search."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.errors import InputError
from graphprune.graph.kmeans import kmeans_1d


def inertia(values: np.ndarray, labels: np.ndarray) -> float:
    return sum(float(((values[labels == g] - values[labels == g].mean()) ** 2).sum()) for g in set(labels))


def least_inertia(values: np.ndarray, k: int) -> float:
    """Over all ways to cut the sorted values into k intervals."""
    values, best = np.sort(values), np.inf
    for cuts in combinations(range(1, len(values)), k - 1):
        parts = np.split(values, cuts)
        best = min(best, sum(float(((part - part.mean()) ** 2).sum()) for part in parts))
    return best


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.floats(-100, 100, width=32), min_size=1, max_size=11),
    k=st.integers(1, 5),
    offset=st.sampled_from([0.0, 1e4]),
)
def test_few_numbers_are_grouped_optimally(values: list[float], k: int, offset: float) -> None:
    numbers = np.array(values, dtype=np.float32).astype(np.float64) + offset
    labels = kmeans_1d(torch.from_numpy(numbers), k).numpy()
    distinct = len(set(numbers))
    assert set(labels) == set(range(min(k, distinct)))
    order = np.argsort(numbers, kind="stable")
    assert (np.diff(labels[order]) >= 0).all()
    for value in set(numbers):
        assert len(set(labels[numbers == value])) == 1
    if k <= len(numbers):
        assert inertia(numbers, labels) <= least_inertia(numbers, k) + 1e-6


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.5])
def test_many_numbers_are_grouped_better_than_from_random_starts(sigma: float) -> None:
    from sklearn.cluster import KMeans

    values = np.random.default_rng(0).lognormal(0, sigma, 20_000)
    labels = kmeans_1d(torch.from_numpy(values), 10)
    best = min(KMeans(10, random_state=seed).fit(values[:, None]).inertia_ for seed in range(5))
    assert inertia(values, labels.numpy()) <= best * 1.0001
    # Lloyd steps have converged: every value is in the group of the nearest mean.
    means = torch.stack([torch.from_numpy(values)[labels == g].mean() for g in range(10)])
    nearest = (torch.from_numpy(values)[:, None] - means).abs().argmin(dim=1)
    assert torch.equal(nearest, labels)


def test_literal_groups() -> None:
    values = torch.tensor([10.0, 0.0, 0.5, 11.0, 50.0, 0.25])
    assert kmeans_1d(values, 3).tolist() == [1, 0, 0, 1, 2, 0]
    assert kmeans_1d(values, 1).tolist() == [0] * 6
    assert kmeans_1d(torch.ones(4), 3).tolist() == [0] * 4
    assert kmeans_1d(torch.tensor([7.0]), 5).tolist() == [0]


@pytest.mark.parametrize("k", [0, 257])
def test_a_number_of_groups_out_of_range_is_rejected(k: int) -> None:
    with pytest.raises(InputError, match=f"k is {k} groups"):
        kmeans_1d(torch.ones(4), k)
