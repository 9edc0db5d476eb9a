"""The default extrapolator: add the ranks of a fit on the seeds and of signals from the seed run."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from graphprune.extrapolate.base import EpochSignals, Extrapolator, Inputs
from graphprune.extrapolate.controls.ranks import quantile
from graphprune.extrapolate.gcn import GCN
from graphprune.graph.features import one_hot
from graphprune.options import Seed
from graphprune.registry import register
from graphprune.runtime.math import middle_rank, pearson
from graphprune.runtime.rng import derive_seed, generator

_FOLDS = 3
# If the summed ranks of the signals correlate less than this with the fit, the signals contradict the seeds.
_AGAINST = -0.2


@register("extrapolator", "auto", source="graphprune", status="ours")
class Auto(Extrapolator):
    r"""Auto: predict by the rank sum of a fit on the seeds and of signals that need no fit, else by a GCN.

    graphprune's own formulation. With the true-label probability :math:`p_k(i)` and the entropy
    :math:`h_k(i)` of sample i in the last K evaluation passes of the seed run, and :math:`\bar p` the mean over passes,

    .. math:: v_i = F(g(i)) + F(\bar p_i (1 - \bar p_i)) + F(1 - \bar p_i)

    where F is the rank among the unmeasured samples, and g is a forest of extremely randomized trees (Geurts et al.,
    2006) that predicts the ranks of the seeds' scores from :math:`p_k, h_k` and the class. The model was trained on
    the seeds, so they appear easier than other samples; each column therefore enters g as its rank within its own
    group (seeds or others). The variance p(1 - p) approximates what scores of training dynamics measure over many
    epochs, and 1 - p measures difficulty. If the two signals together contradict the fit (correlation below -.2
    among the unmeasured samples), only the fit is used. Values are the quantiles of the seeds' scores at v.

    The probabilities come from ``seed_run`` (best with ``background``, where the seed run has seen every sample), or
    else from ``probes``. Windows have no classes: there the only signal is the ST-complexity of the seed model's
    forecast errors on every window (see `SeedErrors`), which is also the input of g. Without any of these inputs the
    method is `GCN`. The standard deviation of every prediction is the root mean square error on held-out seeds
    (3 folds).

    Args:
        seed: Random seed of the folds, the trees and the GCN (default: 0).

    Raises:
        InputError: fewer than 30 seeds.

    Cost: O(M log M (K + C)) time for four fits, O(N log N) for the ranks and the prediction.

    >>> import numpy as np
    >>> from graphprune import KNNGraph
    >>> x, errors = torch.randn(40, 2, generator=torch.Generator().manual_seed(0)), torch.arange(40.0)
    >>> inputs = Inputs(KNNGraph.build(x, k=3), x, seed_errors=errors)
    >>> values = Auto().fit(inputs, np.arange(30), errors[:30].numpy()).predict()
    >>> bool((np.diff(values[30:]) > 0).all())  # the unmeasured samples follow the errors
    True
    """

    reads = ("scores", "looks", "seed_errors")
    reads_otherwise = ("scores", "embeddings", "graph", "probes")

    def __init__(self, *, seed: Seed = 0) -> None:
        self.seed = seed

    @property
    def least_seeds(self) -> int:
        return 10 * _FOLDS

    def _fit(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> None:
        signals = _of_classes(inputs) or _of_windows(inputs)
        if signals is None:
            self.graph_ = GCN(seed=self.seed)
            self.graph_._fit(inputs, seed_rows, seed_scores)
            self.values_, self.std_ = self.graph_._predict(), self.graph_._predict_std()
            return
        order = torch.randperm(len(seed_rows), generator=generator(self.seed, "folds"))
        errors = torch.empty(len(seed_rows))
        for held in order.tensor_split(_FOLDS):
            rest = torch.ones(len(seed_rows), dtype=torch.bool)
            rest[held] = False
            values = self._values(signals, seed_rows[rest], seed_scores[rest], seed_rows[held])
            errors[held] = values[seed_rows[held]] - seed_scores[held]
        self.values_ = self._values(signals, seed_rows, seed_scores, None)
        self.std_ = errors.square().mean().sqrt().expand(inputs.n)

    def _values(
        self, signals: _Signals, seed_rows: Tensor, seed_scores: Tensor, among: Tensor | None
    ) -> Tensor:
        """Predicts ``[N]`` values; ranks are taken ``among`` some rows (default: all samples but the seeds)."""
        from sklearn.ensemble import ExtraTreesRegressor

        seeds = torch.zeros(len(signals.columns), dtype=torch.bool)
        seeds[seed_rows] = True
        features = torch.cat([rank_by_group(signals.columns, seeds), signals.classes], dim=1).numpy()
        fit = ExtraTreesRegressor(
            200,
            min_samples_leaf=min(10, max(2, len(seed_rows) // 10)),
            max_features=0.5,
            random_state=derive_seed(self.seed, "trees") % 2**32,
        )
        ranks = middle_rank(seed_scores, seed_scores).numpy()
        fitted = torch.from_numpy(fit.fit(features[seed_rows.numpy()], ranks).predict(features))
        group = ~seeds if among is None else torch.zeros_like(seeds).index_fill_(0, among, True)
        if not group.any():
            group = seeds
        total = middle_rank(fitted, fitted[group])
        direct = sum(
            (middle_rank(signal, signal[group]) for signal in signals.direct), torch.zeros(len(total))
        )
        if pearson(direct[group], total[group]) > _AGAINST:
            total = total + direct
        return quantile(seed_scores, middle_rank(total, total[group]))

    def _predict(self) -> Tensor:
        return self.values_

    def _predict_std(self) -> Tensor:
        return self.std_


@dataclass(frozen=True)
class _Signals:
    """Inputs of the fit, ``columns [N, F]`` and ``classes [N, C]``, and ``direct`` signals ``[N]`` without a fit."""

    columns: Tensor
    classes: Tensor
    direct: tuple[Tensor, ...]


def _of_classes(inputs: Inputs) -> _Signals | None:
    late = late_signals(inputs)
    if late is None or inputs.labels is None:
        return None
    mean = late[0].mean(dim=0)
    return _Signals(torch.cat(late).T, one_hot(inputs.labels, inputs.n), (mean * (1 - mean), 1 - mean))


def _of_windows(inputs: Inputs) -> _Signals | None:
    if inputs.seed_errors is None:
        return None
    errors = inputs.seed_errors.to(torch.float32)
    return _Signals(errors[:, None], torch.empty(inputs.n, 0), (errors,))


def late_signals(inputs: Inputs) -> tuple[Tensor, Tensor] | None:
    """True-label probabilities and entropies ``[K, N]`` float32 from the seed run, or else from ``probes``."""
    late = inputs.seed_run
    if inputs.labels is None:
        return None
    if late is not None and late.p_true is not None and late.entropy is not None:
        return _filled(late)
    if inputs.probes is None:
        return None
    probes = inputs.probes.to(torch.float32)
    own = torch.stack([p.gather(1, inputs.labels[:, None])[:, 0] for p in probes])
    return own, torch.special.entr(probes).sum(dim=2)


def rank_by_group(columns: Tensor, group: Tensor) -> Tensor:
    """Ranks ``[N, F]`` in 0..1 of each column, taken separately within ``group [N]`` bool and within the rest."""
    ranked = torch.empty_like(columns, dtype=torch.float32)
    for rows in (group, ~group):
        for column in range(columns.shape[1]):
            values = columns[rows, column]
            ranked[rows, column] = middle_rank(values, values).to(torch.float32)
    return ranked


def _filled(late: EpochSignals) -> tuple[Tensor, Tensor]:
    """Fills the signals of visits that a sample missed with those of its last visit."""
    assert late.p_true is not None
    assert late.entropy is not None
    p, entropy = late.p_true.to(torch.float32), late.entropy.to(torch.float32)
    return torch.where(p.isnan(), p[-1:], p), torch.where(entropy.isnan(), entropy[-1:], entropy)
