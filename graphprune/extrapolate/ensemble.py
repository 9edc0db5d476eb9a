"""Combine several extrapolators, with an uncertainty calibrated on held-out seeds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from graphprune.errors import InputError
from graphprune.extrapolate.base import Extrapolator, Inputs
from graphprune.extrapolate.calibration import NORMAL_90
from graphprune.options import Seed
from graphprune.registry import create, register
from graphprune.runtime.facts import JobFacts
from graphprune.runtime.rng import generator


@register("extrapolator", "ensemble", source="graphprune", status="ours")
class Ensemble(Extrapolator):
    r"""Ensemble: predict by the mean of several extrapolators, with 90 % intervals calibrated on held-out seeds.

    .. math:: \sigma_i = c \sqrt{\mathrm{var}_m(\hat s_i^{(m)}) + e^2}

    e is the root mean square error of the mean prediction on seeds held out from the members
    (``folds``-fold cross-fitting over all seeds), and c is set so that ``+-1.645 sigma`` covers 90 % of those errors.
    Errors on unseen samples may be larger than on held-out seeds, because the seed model was trained on the seeds.

    Args:
        members: Names of extrapolators, or mappings with ``name`` and options.
        folds: Number of parts that the seeds are split into (default: 3).
        seed: Random seed of the split, and of members that accept a ``seed`` and set none (default: 0).

    Raises:
        InputError: fewer than two members, or fewer than 10 seeds per fold.

    Cost: ``folds + 1`` fits of every member.

    >>> import numpy as np
    >>> from graphprune import KNNGraph
    >>> x = torch.arange(40.0)[:, None]
    >>> inputs = Inputs(KNNGraph.build(x, k=2), x)
    >>> seeds = np.arange(0, 40, 2)
    >>> method = Ensemble(members=[{"name": "knn", "k": 5}, "ridge"], folds=2)
    >>> values, std = method.fit(inputs, seeds, seeds / 40).predict(return_std=True)
    >>> values.shape, bool((std[1::2] > 0).all()), float(std[0])
    ((40,), True, 0.0)
    """

    def __init__(
        self,
        *,
        members: Annotated[Sequence[str | Mapping[str, Any]], Field(min_length=2)] = ("knn", "ridge", "mlp"),
        folds: Annotated[int, Field(ge=2, le=1_000)] = 3,
        seed: Seed = 0,
    ) -> None:
        self.members = members
        self.folds = folds
        self.seed = seed

    @property
    def least_seeds(self) -> int:
        return 10 * self.folds

    def check(self, job: JobFacts) -> None:
        super().check(job)
        # Each member is also fitted with the largest part of the seeds left out.
        rest = None if job.seeds is None else job.seeds - math.ceil(job.seeds / self.folds)
        for member in self.members:
            make_member(member, self.seed).check(replace(job, seeds=rest))

    def _fit(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> None:
        order = torch.randperm(len(seed_rows), generator=generator(self.seed, "folds"))
        error, spread = torch.empty(len(seed_rows)), torch.empty(len(seed_rows))
        for held in order.tensor_split(self.folds):
            rest = torch.ones(len(seed_rows), dtype=torch.bool)
            rest[held] = False
            each = self._predictions(inputs, seed_rows[rest], seed_scores[rest])[:, seed_rows[held]]
            error[held] = each.mean(dim=0) - seed_scores[held]
            spread[held] = each.var(dim=0, correction=0)
        self.error_ = float(error.square().mean().sqrt())
        ratio = error.abs() / (spread + self.error_**2).sqrt().clamp(min=1e-12)
        self.factor_ = float(torch.quantile(ratio, 0.9)) / NORMAL_90
        each = self._predictions(inputs, seed_rows, seed_scores)
        self.values_ = each.mean(dim=0)
        self.std_ = self.factor_ * (each.var(dim=0, correction=0) + self.error_**2).sqrt()

    def _predictions(self, inputs: Inputs, rows: Tensor, scores: Tensor) -> Tensor:
        """Predictions ``[members, N]`` of all members, fitted on some of the seeds."""
        ids = inputs.sample_ids[rows.numpy()]
        fitted = [make_member(member, self.seed).fit(inputs, ids, scores.numpy()) for member in self.members]
        return torch.from_numpy(np.stack([method.predict() for method in fitted]))

    def _predict(self) -> Tensor:
        return self.values_

    def _predict_std(self) -> Tensor:
        return self.std_


def make_member(member: str | Mapping[str, Any], seed: int) -> Extrapolator:
    """Creates an extrapolator from its name, or from a mapping with ``name`` and options."""
    options = {"name": member} if isinstance(member, str) else dict(member)
    name = options.pop("name", None)
    if not isinstance(name, str):
        raise InputError(f"member {member!r} has no name; write {{name: knn, k: 10}}")
    method: Extrapolator = create("extrapolator", name, **options)
    if "seed" in method.get_params() and "seed" not in options:
        method = create("extrapolator", name, **options, seed=seed)
    return method
