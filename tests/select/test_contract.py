"""The contract of selection rules, checked for every registered rule."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune import registry
from graphprune.errors import InputError
from graphprune.select.base import Selection, SelectionRule
from graphprune.table import ScoreTable

RULES = sorted(registry.entries("selection"))
IGNORES_SCORES = {"random", "random_per_class", "moderate", "semdedup"}


def rule(name: str) -> SelectionRule:
    return registry.create("selection", name)


def inputs(name: str, data: SimpleNamespace) -> dict[str, Any]:
    """All inputs that the rule accepts."""
    second = {"second_scores": data.second} if rule(name).reads_second else {}
    return data.inputs | second


def test_all_fixed_names_are_registered() -> None:
    fixed = "top top_per_class random random_per_class window ccs d2 moderate semdedup beta"
    assert set(fixed.split()) <= set(RULES)


@pytest.mark.parametrize("name", RULES)
def test_the_docstring_starts_with_the_name_and_has_an_example(name: str) -> None:
    cls = registry.get("selection", name)
    assert inspect.getdoc(cls).startswith(f"{cls.__name__}: ")
    assert ">>> " in cls.__doc__


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("keep", [0.001, 0.1, 0.333, 0.5, 0.9, 1.0])
def test_keeps_exactly_the_requested_fraction(name: str, keep: float, data: SimpleNamespace) -> None:
    selection = rule(name).select(data.table, keep, **inputs(name, data))
    assert len(selection) == max(1, int(keep * data.n + 0.5))
    assert np.isin(selection.ids, data.ids).all()
    assert (np.diff(selection.ids) > 0).all()
    assert selection.weights.dtype == np.float32
    assert (selection.weights == 1).all()


@pytest.mark.parametrize("name", RULES)
def test_same_seed_same_set(name: str, data: SimpleNamespace) -> None:
    first, again = (rule(name).select(data.table, 0.4, seed=3, **inputs(name, data)) for _ in range(2))
    assert np.array_equal(first.ids, again.ids)


@pytest.mark.parametrize("name", ["random", "random_per_class", "ccs", "beta"])
def test_random_rules_follow_the_seed(name: str, data: SimpleNamespace) -> None:
    sets = {
        tuple(rule(name).select(data.table, 0.4, seed=seed, **inputs(name, data)).ids) for seed in range(4)
    }
    assert len(sets) == 4


@pytest.mark.parametrize("name", RULES)
def test_global_randomness_is_neither_read_nor_touched(name: str, data: SimpleNamespace) -> None:
    torch.manual_seed(1)
    first = rule(name).select(data.table, 0.4, **inputs(name, data))
    state = torch.random.get_rng_state()
    torch.manual_seed(2)
    second = rule(name).select(data.table, 0.4, **inputs(name, data))
    torch.manual_seed(1)
    assert np.array_equal(first.ids, second.ids)
    assert np.array_equal(state, torch.random.get_rng_state())


@pytest.mark.parametrize(
    "name", sorted(set(RULES) - {"random", "random_per_class", "ccs", "semdedup", "beta"})
)
def test_equal_scores_go_to_the_lower_id(name: str, data: SimpleNamespace) -> None:
    """With constant scores, reversing the input order of the table changes nothing."""
    ids = data.ids[::-1]
    constant = ScoreTable(ids, np.ones(data.n, dtype=np.float32), True)
    sorted_ = ScoreTable(data.ids, np.ones(data.n, dtype=np.float32), True)
    first, second = (rule(name).select(table, 0.3, **inputs(name, data)) for table in (constant, sorted_))
    assert np.array_equal(first.ids, second.ids)
    if name == "top":
        assert np.array_equal(first.ids, data.ids[:36])


@pytest.mark.parametrize("name", sorted(set(RULES) - IGNORES_SCORES))
def test_kept_samples_have_larger_scores_at_small_keep(name: str, data: SimpleNamespace) -> None:
    """Every rule that reads scores reads them in the right direction: larger means keep."""
    scores = data.table.values
    kept = rule(name).select(data.table, 0.5, **inputs(name, data))
    hardest = np.isin(data.ids, kept.ids)
    if name == "ccs":  # it covers the range evenly, so only its cut at the hard end shows the direction
        cut = np.argsort(-data.second.values, kind="stable")[:12]
        assert not hardest[cut].any()
    else:
        assert scores[hardest].mean() > scores[~hardest].mean()


@pytest.mark.parametrize("name", RULES)
def test_a_single_sample_survives(name: str, make: Callable[..., SimpleNamespace]) -> None:
    alone = make(1)
    assert rule(name).select(alone.table, 0.5, **inputs(name, alone)).ids.tolist() == alone.ids.tolist()


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("keep", [0.0, -0.1, 1.1, float("nan")])
def test_a_keep_outside_its_range_is_refused(name: str, keep: float, data: SimpleNamespace) -> None:
    with pytest.raises(InputError, match="keep is"):
        rule(name).select(data.table, keep, **inputs(name, data))


@pytest.mark.parametrize("name", [name for name in RULES if rule(name).requires])
def test_a_missing_input_is_named(name: str, data: SimpleNamespace) -> None:
    for missing in rule(name).requires:
        given = {**inputs(name, data), missing: None}
        with pytest.raises(InputError, match=f"needs {missing}"):
            rule(name).select(data.table, 0.5, **given)


@pytest.mark.parametrize("wrong", ["labels", "graph", "embeddings"])
def test_inputs_of_another_length_are_refused(
    wrong: str, data: SimpleNamespace, make: Callable[..., SimpleNamespace]
) -> None:
    given = {**data.inputs, wrong: make(60).inputs[wrong]}
    with pytest.raises(InputError, match=f"{wrong} covers 60 samples but the scores cover 120"):
        rule("top").select(data.table, 0.5, **given)


def test_second_scores_must_be_read_and_cover_the_samples(data: SimpleNamespace) -> None:
    with pytest.raises(InputError, match="rule Top reads only one score"):
        rule("top").select(data.table, 0.5, second_scores=data.second)
    few = ScoreTable(data.ids[1:], data.second.values[1:], True)
    for name in (name for name in RULES if rule(name).reads_second):
        with pytest.raises(InputError, match=f"first is {data.ids[0]}; pass ids of the same data"):
            rule(name).select(data.table, 0.5, second_scores=few)
    # They are matched by id, not by position.
    backwards = ScoreTable(data.ids[::-1], data.second.values[::-1], True)
    for name in (name for name in RULES if rule(name).reads_second):
        sets = [rule(name).select(data.table, 0.5, second_scores=s).ids for s in (data.second, backwards)]
        assert np.array_equal(*sets)


def test_labels_that_are_no_integers_are_refused(data: SimpleNamespace) -> None:
    with pytest.raises(InputError, match="labels are float64"):
        rule("top_per_class").select(data.table, 0.5, labels=data.labels + 0.5)


def test_an_empty_table_is_refused() -> None:
    with pytest.raises(InputError, match="empty"):
        rule("top").select(ScoreTable([], [], True), 0.5)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6),
    keep=st.floats(0.01, 1.0),
    name=st.sampled_from(["top_per_class", "random_per_class", "moderate"]),
)
def test_class_rules_keep_each_class_its_share(sizes: list[int], keep: float, name: str) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    n = len(labels)
    rng = np.random.default_rng(n)
    table = ScoreTable(np.arange(n), rng.random(n).astype(np.float32), True)
    embeddings = torch.from_numpy(rng.normal(size=(n, 2))).float()
    options = {"band": "per_class"} if name == "moderate" else {}
    by_class = registry.create("selection", name, **options)
    kept = by_class.select(table, keep, labels=labels, embeddings=embeddings).ids
    got = np.bincount(labels[kept], minlength=len(sizes))
    exact = np.array(sizes) * len(kept) / n
    assert (np.abs(got - exact) < 1).all()


def test_a_selection_survives_its_file(tmp_path: Path, data: SimpleNamespace) -> None:
    selection = Selection(data.ids[::3], np.linspace(0, 2, 40, dtype=np.float32))
    selection.to_parquet(tmp_path / "k.parquet")
    again = Selection.from_parquet(tmp_path / "k.parquet")
    assert np.array_equal(selection.ids, again.ids)
    assert np.array_equal(selection.weights, again.weights)


def test_a_foreign_file_may_lack_weights_and_order(tmp_path: Path) -> None:
    path = tmp_path / "k.parquet"
    pq.write_table(pa.table({"sample_id": pa.array([5, 1, 3], pa.int32())}), path)
    selection = Selection.from_parquet(path)
    assert selection.ids.tolist() == [1, 3, 5]
    assert selection.weights.tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"sample_id": [1, 1]}, "ascending without duplicates"),
        ({"sample_id": [1.5, 2.5]}, "must be integers"),
        ({"weight": [1.0]}, "no column 'sample_id'"),
        ({"sample_id": [1, 2], "weight": [1.0, float("nan")]}, "finite and not negative"),
        ({"sample_id": [1, 2], "weight": [1.0, -1.0]}, "finite and not negative"),
        ({"sample_id": [1, None]}, "1 nulls"),
        ({"sample_id": [1, 2], "weight": ["a", "b"]}, "must be numbers"),
    ],
)
def test_bad_selection_files_are_refused(tmp_path: Path, columns: dict, message: str) -> None:
    path = tmp_path / "bad.parquet"
    pq.write_table(pa.table(columns), path)
    with pytest.raises(InputError, match=message) as error:
        Selection.from_parquet(path)
    assert "bad.parquet" in str(error.value)
