"""The default: what a training thinks of every sample, fitted on seeds and read off directly, ranks added."""

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
# Signals whose summed ranks correlate less than this with the fit's go against what the seeds say.
_AGAINST = -0.2


@register("extrapolator", "auto", source="graphprune", status="ours")
class Auto(Extrapolator):
    r"""Rank sum of a fit on the seeds and of signals that need none; GCN where nothing else is known.

    graphprune's own formulation. With the true-label probability :math:`p_k(i)` and the entropy
    :math:`h_k(i)` of sample i at the last K looks of the seed run, and :math:`\bar p` the mean over looks,

    .. math:: v_i = F(g(i)) + F(\bar p_i (1 - \bar p_i)) + F(1 - \bar p_i)

    where F is the rank among the unmeasured samples and g a forest of extremely randomised trees (Geurts et al.,
    2006), fitted to the ranks of the seeds' scores, on the :math:`p_k, h_k` and the class. Seeds were trained on
    and look easier than others, so each column enters g as its rank within its own group, seeds or others. The
    variance p(1 - p) of one look stands for what scores of training dynamics measure over many, 1 - p for
    difficulty. Where the two together go against the fit (correlation below -.2 among the unmeasured), the fit
    stands alone. Values are the quantiles of the seeds' scores at v.

    The looks are ``seed_run`` (best: a seed run with ``background`` has seen every sample), else ``probes``.
    Windows have no classes: there the one signal is the ST-complexity of the seed model's forecast errors on every
    window (see `SeedErrors`), which also is what g goes by.
    The standard deviation of every prediction is the root mean square error on seeds left out in 3 folds.

    Args:
        seed: Of the folds, and of the GCN.

    Raises:
        InputError: fewer than 30 seeds.

    Cost: O(M log M (K + C)) time for four fits, O(N log N) for the ranks and the prediction.
    """

    reads = ("scores", "looks", "seed_errors")
    reads_otherwise = ("scores", "embeddings", "graph", "probes")

    def __init__(self, *, seed: Seed = 0) -> None:
        self.seed = seed

    @property
    def least_seeds(self) -> int:
        return 10 * _FOLDS

    def _fit(self, inputs: Inputs, seed_rows: Tensor, seed_scores: Tensor) -> None:
        seen = _of_classes(inputs) or _of_windows(inputs)
        if seen is None:
            self.graph_ = GCN(seed=self.seed)
            self.graph_._fit(inputs, seed_rows, seed_scores)
            self.values_, self.std_ = self.graph_._predict(), self.graph_._predict_std()
            return
        order = torch.randperm(len(seed_rows), generator=generator(self.seed, "folds"))
        errors = torch.empty(len(seed_rows))
        for held in order.tensor_split(_FOLDS):
            rest = torch.ones(len(seed_rows), dtype=torch.bool)
            rest[held] = False
            values = self._values(seen, seed_rows[rest], seed_scores[rest], seed_rows[held])
            errors[held] = values[seed_rows[held]] - seed_scores[held]
        self.values_ = self._values(seen, seed_rows, seed_scores, None)
        self.std_ = errors.square().mean().sqrt().expand(inputs.n)

    def _values(self, seen: _Seen, seed_rows: Tensor, seed_scores: Tensor, among: Tensor | None) -> Tensor:
        """Predictions ``[N]``; ranks are those ``among`` some rows (default: all that are not seeds)."""
        from sklearn.ensemble import ExtraTreesRegressor

        seeds = torch.zeros(len(seen.columns), dtype=torch.bool)
        seeds[seed_rows] = True
        features = torch.cat([rank_by_group(seen.columns, seeds), seen.classes], dim=1).numpy()
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
        shown = sum((middle_rank(signal, signal[group]) for signal in seen.signals), torch.zeros(len(total)))
        if pearson(shown[group], total[group]) > _AGAINST:
            total = total + shown
        return quantile(seed_scores, middle_rank(total, total[group]))

    def _predict(self) -> Tensor:
        return self.values_

    def _predict_std(self) -> Tensor:
        return self.std_


@dataclass(frozen=True)
class _Seen:
    """What the fit goes by, ``columns [N, F]`` and ``classes [N, C]``, and ``signals [N]`` that need no fit."""

    columns: Tensor
    classes: Tensor
    signals: tuple[Tensor, ...]


def _of_classes(inputs: Inputs) -> _Seen | None:
    looks = late_looks(inputs)
    if looks is None or inputs.labels is None:
        return None
    mean = looks[0].mean(dim=0)
    return _Seen(torch.cat(looks).T, one_hot(inputs.labels, inputs.n), (mean * (1 - mean), 1 - mean))


def _of_windows(inputs: Inputs) -> _Seen | None:
    if inputs.seed_errors is None:
        return None
    errors = inputs.seed_errors.to(torch.float32)
    return _Seen(errors[:, None], torch.empty(inputs.n, 0), (errors,))


def late_looks(inputs: Inputs) -> tuple[Tensor, Tensor] | None:
    """True-label probabilities and entropies ``[K, N]`` float32, of the seed run's looks or of the probes."""
    looks = inputs.seed_run
    if inputs.labels is None:
        return None
    if looks is not None and looks.p_true is not None and looks.entropy is not None:
        return _filled(looks)
    if inputs.probes is None:
        return None
    probes = inputs.probes.to(torch.float32)
    own = torch.stack([p.gather(1, inputs.labels[:, None])[:, 0] for p in probes])
    return own, torch.special.entr(probes).sum(dim=2)


def rank_by_group(columns: Tensor, group: Tensor) -> Tensor:
    """Each column's ranks in 0..1 within the rows of ``group [N]`` bool and within the others, ``[N, F]``."""
    ranked = torch.empty_like(columns, dtype=torch.float32)
    for rows in (group, ~group):
        for column in range(columns.shape[1]):
            values = columns[rows, column]
            ranked[rows, column] = middle_rank(values, values).to(torch.float32)
    return ranked


def _filled(looks: EpochSignals) -> tuple[Tensor, Tensor]:
    """Looks that a sample missed take the value of its last one."""
    assert looks.p_true is not None
    assert looks.entropy is not None
    p, entropy = looks.p_true.to(torch.float32), looks.entropy.to(torch.float32)
    return torch.where(p.isnan(), p[-1:], p), torch.where(entropy.isnan(), entropy[-1:], entropy)
