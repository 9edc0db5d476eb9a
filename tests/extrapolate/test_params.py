"""Arguments of extrapolators that hold extrapolators."""

from __future__ import annotations

from typing import Any

import pytest
from sklearn.base import clone
from torch import Tensor

from graphprune.errors import InputError
from graphprune.extrapolate.base import Extrapolator, Inputs
from graphprune.extrapolate.ensemble import Ensemble
from graphprune.extrapolate.knn import KNN


class Doubled(Extrapolator):
    """Predicts twice the value of another extrapolator."""

    def __init__(self, *, inner: Any = None, factor: float = 2.0) -> None:
        self.inner, self.factor = inner, factor

    def _fit(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> None:
        self.inner._fit(inputs, seed_rows, seed_scores)

    def _predict(self) -> Tensor:
        return self.factor * self.inner._predict()

    def _predict_std(self) -> Tensor:
        return self.factor * self.inner._predict_std()


def test_nested_arguments_are_read_and_set_by_two_underscores() -> None:
    method = Doubled(inner=KNN(k=7))
    assert method.get_params()["inner__k"] == 7
    assert set(method.get_params(deep=False)) == {"inner", "factor"}
    copy = clone(method).set_params(factor=3.0, inner__k=9)
    assert (copy.factor, copy.inner.k, method.inner.k, method.factor) == (3.0, 9, 7, 2.0)
    swapped = method.set_params(inner__k=4, inner=KNN(k=1, labels=False))
    assert (swapped.inner.k, swapped.inner.labels) == (4, False)
    with pytest.raises(InputError, match="'inner__kk'"):
        method.set_params(inner__kk=3)


def test_members_of_an_ensemble_are_copied() -> None:
    members = [{"name": "knn", "k": 5}, "ridge"]
    copy = clone(Ensemble(members=members, seed=3))
    assert copy.get_params() == {"members": members, "folds": 3, "seed": 3}
    copy.members[0]["k"] = 6
    assert members[0]["k"] == 5
