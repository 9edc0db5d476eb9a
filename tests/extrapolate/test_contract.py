"""The contract of every registered extrapolator."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.base import clone

from graphprune import registry
from graphprune.errors import InputError

from .conftest import Problem

NAMES = list(registry.entries("extrapolator"))
OF_WINDOWS = ("input_complexity", "seed_errors")
pytestmark = pytest.mark.parametrize("name", NAMES)


def make(name: str, **options: Any) -> Any:
    """The method with few training steps, if it trains: most of the contract needs no more."""
    known = inspect.signature(registry.get("extrapolator", name)).parameters
    quick: dict[str, Any] = {"steps": 20} if "steps" in known else {}
    if "members" in known:
        quick["members"] = ["knn", "ridge"]
    return registry.create("extrapolator", name, **{**quick, **options})


@pytest.fixture(scope="session")
def predicted(problem: Problem) -> Any:
    @functools.cache
    def one(name: str) -> tuple[np.ndarray, np.ndarray]:
        return make(name).fit(problem.inputs, problem.seeds, problem.seed_scores).predict(return_std=True)

    return one


def test_shapes_and_measured_scores(name: str, problem: Problem, predicted: Any) -> None:
    values, std = predicted(name)
    rows = np.searchsorted(problem.inputs.sample_ids, problem.seeds)
    for column in (values, std):
        assert column.shape == (problem.inputs.n,)
        assert column.dtype == np.float32
        assert np.isfinite(column).all()
    np.testing.assert_array_equal(values[rows], problem.seed_scores)
    assert (std >= 0).all()
    assert (std[rows] == 0).all()
    assert std[problem.unseen].mean() > 0


def test_clone_gives_an_unfitted_equal(name: str, problem: Problem, predicted: Any) -> None:
    method = make(name).fit(problem.inputs, problem.seeds, problem.seed_scores)
    copy = clone(method)
    assert type(copy) is type(method)
    assert copy.get_params() == method.get_params() == copy.get_params(deep=False)
    assert set(vars(copy)) == set(
        inspect.signature(type(method)).parameters
    )  # arguments alone, nothing learned
    with pytest.raises(InputError, match="is not fitted"):
        copy.predict()
    again = copy.fit(problem.inputs, problem.seeds, problem.seed_scores).predict()
    assert again.tobytes() == predicted(name)[0].tobytes()


def test_set_params_makes_what_the_constructor_makes(name: str) -> None:
    method = registry.create("extrapolator", name)
    other = {key: changed(value) for key, value in method.get_params(deep=False).items()}
    assert method.set_params(**other) is method
    assert method.get_params(deep=False) == other == vars(method)
    assert registry.get("extrapolator", name)(**other).get_params(deep=False) == other
    for key in other:
        with pytest.raises(InputError, match=f"{key} must be"):
            method.set_params(**{key: object()})
    with pytest.raises(InputError, match=f"argument of {type(method).__name__} 'steeps'"):
        method.set_params(steeps=3)


def changed(value: Any) -> Any:
    """Another value that the same argument accepts."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    return value / 2 if isinstance(value, float) else value


def test_better_than_chance(name: str, problem: Problem) -> None:
    trains = "steps" in inspect.signature(registry.get("extrapolator", name)).parameters
    method = make(name, **({"steps": 100} if trains else {}))
    values = method.fit(problem.inputs, problem.seeds, problem.seed_scores).predict()
    truth = problem.scores[problem.unseen]
    if name == "mean":
        assert np.ptp(values[problem.unseen]) == 0
        return
    assert spearmanr(values[problem.unseen], truth).statistic > 0.2
    # Predictions are on the scale of the scores, so that both can be ranked together.
    assert abs(values[problem.unseen].mean() - truth.mean()) < 0.5 * truth.std()


def test_same_seed_same_bytes_whatever_the_order_of_the_seeds(
    name: str, problem: Problem, predicted: Any
) -> None:
    state = torch.get_rng_state()
    order = np.random.default_rng(1).permutation(len(problem.seeds))
    method = make(name).fit(problem.inputs, problem.seeds[order], problem.seed_scores[order])
    values, std = method.predict(return_std=True)
    assert values.tobytes() == predicted(name)[0].tobytes()
    assert std.tobytes() == predicted(name)[1].tobytes()
    assert torch.equal(state, torch.get_rng_state())


def test_half_precision_embeddings_are_accepted(name: str, problem: Problem) -> None:
    inputs = dataclasses.replace(problem.inputs, embeddings=problem.inputs.embeddings.half())
    values = make(name).fit(inputs, problem.seeds, problem.seed_scores).predict()
    assert np.isfinite(values).all()


def test_three_seeds_work_or_are_refused(name: str, problem: Problem) -> None:
    refused = ""
    try:
        method = make(name).fit(problem.inputs, problem.seeds[:3], problem.seed_scores[:3])
    except InputError as error:
        refused = str(error)
    if refused:
        assert "seed" in refused
        return
    values, std = method.predict(return_std=True)
    assert np.isfinite(values).all()
    assert np.isfinite(std).all()


def test_constant_scores_give_the_constant(name: str, problem: Problem) -> None:
    constant = np.full(len(problem.seeds), 0.25, dtype=np.float32)
    values, std = make(name).fit(problem.inputs, problem.seeds, constant).predict(return_std=True)
    assert (values == 0.25).all()
    assert (std == 0).all()


def test_bad_seeds_are_named(name: str, problem: Problem) -> None:
    seeds, scores = problem.seeds[:40], problem.seed_scores[:40].copy()
    with pytest.raises(InputError, match="first is 4"):
        make(name).fit(problem.inputs, np.append(seeds, 4), np.append(scores, 0.0))
    with pytest.raises(InputError, match=f"1 duplicate seed ids, the first is {seeds[5]};"):
        make(name).fit(problem.inputs, np.append(seeds, seeds[5]), np.append(scores, 0.0))
    with pytest.raises(InputError, match="40 seed ids but 39"):
        make(name).fit(problem.inputs, seeds, scores[1:])
    scores[[2, 7]] = np.nan, np.inf
    with pytest.raises(InputError, match=f"2 of 40 .* id {seeds[2]}"):
        make(name).fit(problem.inputs, seeds, scores)


def test_missing_inputs_are_named_with_the_remedy(name: str, problem: Problem) -> None:
    for needed in registry.get("extrapolator", name).requires:
        without = dataclasses.replace(problem.inputs, **{needed: None})
        remedy = "data.kind: sensors" if needed in OF_WINDOWS else f"--{needed.replace('_', '-')}"
        with pytest.raises(InputError, match=f"{needed}; .*{remedy}"):
            make(name).fit(without, problem.seeds, problem.seed_scores)


def test_optional_inputs_are_optional(name: str, problem: Problem) -> None:
    requires = registry.get("extrapolator", name).requires
    optional = {"labels", "probes", "short_run", *OF_WINDOWS} - set(requires)
    without = dataclasses.replace(problem.inputs, **dict.fromkeys(optional))
    assert np.isfinite(make(name).fit(without, problem.seeds, problem.seed_scores).predict()).all()


def test_parameters_round_trip(name: str) -> None:
    method = make(name)
    again = registry.create("extrapolator", name, **method.get_params())
    assert again.get_params() == method.get_params()
    assert repr(again) == repr(method)
    with pytest.raises(InputError, match="not fitted"):
        method.predict()
