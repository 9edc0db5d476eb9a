"""How well predicted scores agree with measured ones: pure functions on arrays, no NaN in any answer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from graphprune.errors import InputError
from graphprune.evaluation.bootstrap import Ranking, enough_blocks, pearson, percentiles, resamples
from graphprune.evaluation.kendall import Kendall
from graphprune.extrapolate.calibration import calibration, class_bias, coverage90
from graphprune.files import require_finite
from graphprune.options import Count

Array = npt.NDArray[np.float64]
KEEPS = (0.1, 0.3, 0.5, 0.7)


@dataclass(frozen=True)
class Agreement:
    """Agreement of predicted with true scores of the same n samples; None stands where a figure is undefined.

    Attributes:
        n: Samples compared.
        spearman, pearson, kendall: Correlations (Kendall's is tau-b), None when undefined.
        spearman_ci95, pearson_ci95, kendall_ci95: Percentile bootstrap intervals ``[low, high]``; None of fewer
            than five blocks.
        block: Neighbouring rows that the bootstrap draws together.
        mse: Mean squared error, in squared units of the score.
        overlap: By keep fraction, the part of the truly best that is also predicted best; chance gives
            the keep fraction itself.
        calibration: Ten equal parts by predicted value, ascending: mean ``predicted``, mean ``truth``, ``n``.
        coverage90: Part of the truth within predicted +- 1.645 std; None without std.
        class_bias: By class, mean of predicted - truth; None without labels.
        reason: Why figures are undefined, or None.
    """

    n: int
    spearman: float | None
    spearman_ci95: list[float] | None
    pearson: float | None
    pearson_ci95: list[float] | None
    kendall: float | None
    kendall_ci95: list[float] | None
    block: int
    mse: float | None
    overlap: dict[str, float | None]
    calibration: list[dict[str, float]]
    coverage90: float | None
    class_bias: dict[str, float] | None
    reason: str | None

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, strings and None, for JSON."""
        return asdict(self)


def evaluate(
    predicted: npt.ArrayLike,
    truth: npt.ArrayLike,
    *,
    std: npt.ArrayLike | None = None,
    labels: npt.ArrayLike | None = None,
    n_bootstrap: Annotated[int, Field(ge=0, le=1_000_000)] = 1000,
    block: Count = 1,
    seed: int = 0,
) -> Agreement:
    """Compares predicted with true scores, row by row.

    What the truth is decides what the answer means: held-out seeds show agreement with the seed run
    only, and seeds differ from other samples because they were trained on; an oracle (the mean of full
    runs) shows agreement with the score that was meant, to be read beside `noise_ceiling`.

    Args:
        predicted, truth: ``[n]``, finite.
        std: Standard deviations of the predictions ``[n]``, not negative.
        labels: Classes ``[n]`` int.
        n_bootstrap: Resamples for the intervals (default: 1000; 0 leaves them out).
        block: Neighbouring rows drawn together (default: 1). Windows that overlap are no independent samples:
            drawn one by one they give intervals that are far too narrow. Give as many as share readings (of 1,600
            windows of 24 readings each, nominal 95 % intervals held the true correlation in 36 to 39 % of 300
            simulations row by row, in 89 to 91 % by blocks of 24: experiments/evaluation_windows).
        seed: Of the resamples (default: 0).

    Raises:
        InputError: different lengths, NaN or infinite values, a negative std, a block below 1.

    Cost: O(n log n + n_bootstrap n) time, O(n) memory.

    >>> agreement = evaluate([0.1, 0.2, 0.3, 0.4], [1.0, 3.0, 2.0, 4.0])
    >>> round(agreement.spearman, 6), agreement.overlap["0.5"], agreement.reason
    (0.8, 0.5, None)
    >>> evaluate([0.5, 0.5, 0.5], [1.0, 2.0, 3.0]).reason
    'the predicted scores are constant, so correlations are undefined'
    """
    p, t = _vector(predicted, "predicted"), _vector(truth, "truth")
    _same_length(p, truth=t)
    n = len(p)
    if block < 1:
        raise InputError(f"block is {block}; rows are drawn at least 1 at a time")
    reason = _undefined(n, predicted=p, truth=t)
    figures = _Correlations()
    if reason is None:
        figures = _correlations(p, t, n_bootstrap, block, seed)
    return Agreement(
        n=n,
        spearman=figures.spearman,
        spearman_ci95=figures.spearman_ci95,
        pearson=figures.pearson,
        pearson_ci95=figures.pearson_ci95,
        kendall=figures.kendall,
        kendall_ci95=figures.kendall_ci95,
        block=block,
        mse=float(np.mean((p - t) ** 2)) if n else None,
        overlap={f"{keep:g}": overlap(p, t, keep) for keep in KEEPS},
        calibration=calibration(p, t),
        coverage90=None if std is None or not n else _coverage(p, t, std),
        class_bias=None if labels is None else _class_bias(p - t, labels),
        reason=reason,
    )


def overlap(predicted: npt.ArrayLike, truth: npt.ArrayLike, keep: float) -> float | None:
    """Part ``|A and B| / |A|`` of the truly best ``keep`` fraction A that is also predicted best (B).

    Both sets hold ``round(keep * n)`` samples, at least 1, of equal values the lower position first, as
    selections choose them. A random choice reaches ``keep``. None when there are no samples.
    """
    p, t = np.asarray(predicted), np.asarray(truth)
    if not len(p):
        return None
    count = max(1, math.floor(keep * len(p) + 0.5))
    best_p, best_t = (np.argsort(-values, kind="stable")[:count] for values in (p, t))
    return len(np.intersect1d(best_p, best_t, assume_unique=True)) / count


def noise_ceiling(runs: Sequence[npt.ArrayLike]) -> dict[str, Any]:
    r"""What the noise between full runs leaves to reach, judged against the mean of R runs.

    With scores :math:`x_r = s + e_r` of run r, independent noise of equal variance and single runs that
    agree to :math:`\rho = \mathrm{corr}(x_1, x_2) = \mathrm{var}(s) / \mathrm{var}(x)`, the mean of R runs
    has variance :math:`(1 + (R-1)\rho) \mathrm{var}(x) / R`, and so

    .. math::
        \mathrm{corr}(x_{R+1}, \bar x) = \rho \sqrt{\frac{R}{1 + (R-1)\rho}}, \qquad
        \mathrm{corr}(s, \bar x) = \sqrt{\frac{R \rho}{1 + (R-1)\rho}},

    the second being what a perfect predictor reaches; for R = 2 it is :math:`\sqrt{2\rho/(1+\rho)}`.

    Args:
        runs: At least two score vectors ``[n]`` of the same samples in the same order.

    Returns:
        ``runs``, ``n``, ``spearman`` and ``pearson`` (mean over pairs of single runs),
        ``further_run_vs_mean`` and ``perfect`` from the Spearman figure, ``further_run_vs_mean_pearson`` and
        ``perfect_pearson``, and ``reason`` (None, or why figures are None).

    Raises:
        InputError: fewer than two runs, different lengths, NaN or infinite values.

    Cost: O(R n log n + R^2 n).

    >>> ceiling = noise_ceiling([[1.0, 2.0, 3.0, 4.0], [1.0, 3.0, 2.0, 4.0]])
    >>> round(ceiling["spearman"], 3), round(ceiling["further_run_vs_mean"], 3), round(ceiling["perfect"], 3)
    (0.8, 0.843, 0.943)
    """
    vectors = {f"run {i}": _vector(run, f"run {i}") for i, run in enumerate(runs)}
    if len(vectors) < 2:
        raise InputError(
            f"the noise ceiling compares runs with each other and got {len(vectors)}; give at least 2"
        )
    first = vectors["run 0"]
    _same_length(first, **vectors)
    count = len(vectors)
    answer: dict[str, Any] = {"runs": count, "n": len(first), "reason": _undefined(len(first), **vectors)}
    figures: dict[str, float | None] = {"spearman": None, "pearson": None}
    if answer["reason"] is None:
        weights = np.ones(len(first))
        rankings = [Ranking(vector).centred_ranks(weights) for vector in vectors.values()]
        for name, columns in (("spearman", rankings), ("pearson", list(vectors.values()))):
            figures[name] = float(np.mean([pearson(a, b, weights) for a, b in combinations(columns, 2)]))
    for name, suffix in (("spearman", ""), ("pearson", "_pearson")):
        r = figures[name]
        answer[name] = r
        answer["further_run_vs_mean" + suffix] = answer["perfect" + suffix] = None
        if r is not None and 1 + (count - 1) * r > 0:
            shrink = count / (1 + (count - 1) * r)
            answer["further_run_vs_mean" + suffix] = r * math.sqrt(shrink)
            answer["perfect" + suffix] = math.sqrt(r * shrink) if r >= 0 else None
        if r is not None and r < 0:
            answer["reason"] = (
                "single runs do not agree with each other, so there is no common score to reach"
            )
    return answer


def paired_bootstrap(
    pred_a: npt.ArrayLike,
    pred_b: npt.ArrayLike,
    truth: npt.ArrayLike,
    *,
    n_bootstrap: int = 1000,
    seed: int = 0,
) -> dict[str, Any]:
    """Difference of two predictors' Spearman correlations with the truth, on the same resamples.

    Two separate intervals overlap long before the difference is uncertain, because both predictors are
    judged on the same samples.

    Args:
        pred_a, pred_b, truth: ``[n]``, finite.
        n_bootstrap: Resamples (default: 1000).
        seed: Of the resamples (default: 0).

    Returns:
        ``n``, ``spearman_a``, ``spearman_b``, ``difference`` (a - b), ``ci95`` ``[low, high]`` and ``reason``
        (None, or why figures are None).

    Raises:
        InputError: different lengths, NaN or infinite values.

    Cost: O(n log n + n_bootstrap n) time, O(n) memory.
    """
    a, b, t = _vector(pred_a, "pred_a"), _vector(pred_b, "pred_b"), _vector(truth, "truth")
    _same_length(a, pred_b=b, truth=t)
    answer: dict[str, Any] = {"n": len(a), "reason": _undefined(len(a), pred_a=a, pred_b=b, truth=t)}
    if answer["reason"] is not None:
        return answer | dict.fromkeys(("spearman_a", "spearman_b", "difference", "ci95"))
    rankings = [Ranking(values) for values in (a, b, t)]

    def spearmans(weights: Array) -> tuple[float, float]:
        ranks_a, ranks_b, ranks_t = (ranking.centred_ranks(weights) for ranking in rankings)
        return pearson(ranks_a, ranks_t, weights), pearson(ranks_b, ranks_t, weights)

    with_a, with_b = spearmans(np.ones(len(a)))
    pairs = np.array([spearmans(weights) for weights in resamples(len(a), n_bootstrap, seed)]).reshape(-1, 2)
    return answer | {
        "spearman_a": with_a,
        "spearman_b": with_b,
        "difference": with_a - with_b,
        "ci95": percentiles(pairs[:, 0] - pairs[:, 1]),
    }


@dataclass(frozen=True)
class _Correlations:
    spearman: float | None = None
    spearman_ci95: list[float] | None = None
    pearson: float | None = None
    pearson_ci95: list[float] | None = None
    kendall: float | None = None
    kendall_ci95: list[float] | None = None


def _correlations(p: Array, t: Array, n_bootstrap: int, block: int, seed: int) -> _Correlations:
    # In the order of p its ranks are plain cumulative sums, without a gather and a scatter.
    order = np.argsort(p, kind="stable")
    p, t = p[order], t[order]
    of_p, of_t, pairs = Ranking(p), Ranking(t), Kendall(p, t)
    # Variances of very small scores would underflow; a power of two changes no other digit of Pearson's r.
    p, t = (np.ldexp(x, -int(np.frexp(np.abs(x).max())[1])) for x in (p, t))

    def all_three(weights: Array) -> tuple[float, float, float]:
        ranks = of_p.centred_ranks(weights), of_t.centred_ranks(weights)
        spearman = pearson(*ranks, weights)
        # Equal values may leave a rounding error for a variance; their ranks do not.
        linear = math.nan if math.isnan(spearman) else pearson(p, t, weights)
        return spearman, linear, pairs.tau(weights)

    exact = all_three(np.ones(len(p)))
    draws = resamples(len(p), n_bootstrap if enough_blocks(len(p), block) else 0, seed, block)
    # Blocks are neighbours before that order; single rows are drawn alike in any.
    drawn = np.array([all_three(w if block == 1 else w[order]) for w in draws]).reshape(-1, 3)
    return _Correlations(
        spearman=exact[0],
        spearman_ci95=percentiles(drawn[:, 0]),
        pearson=exact[1],
        pearson_ci95=percentiles(drawn[:, 1]),
        kendall=exact[2],
        kendall_ci95=percentiles(drawn[:, 2]),
    )


def _vector(values: npt.ArrayLike, what: str) -> Array:
    vector = np.asarray(values)
    if vector.ndim != 1 or vector.dtype.kind not in "fiub":
        raise InputError(
            f"{what} has shape {vector.shape} and type {vector.dtype}; give one number per sample"
        )
    require_finite(vector, what)
    return vector.astype(np.float64)


def _same_length(first: Array, **others: npt.NDArray[Any]) -> None:
    for name, other in others.items():
        if len(other) != len(first):
            raise InputError(
                f"{name} covers {len(other)} samples but the first {len(first)}; align them by id"
            )


def _undefined(n: int, **vectors: Array) -> str | None:
    """Why correlations are undefined, or None."""
    if n < 3:
        return f"{n} samples are too few for correlations, which need at least 3"
    for name, vector in vectors.items():
        if (vector == vector[0]).all():
            scores = f"the {name} scores" if name == "predicted" else f"the scores of {name}"
            return f"{scores} are constant, so correlations are undefined"
    return None


def _coverage(p: Array, t: Array, std: npt.ArrayLike) -> float:
    spread = _vector(std, "std")
    _same_length(p, std=spread)
    if (spread < 0).any():
        raise InputError(f"std: {(spread < 0).sum()} values are negative; give standard deviations")
    return coverage90(p, t, spread)


def _class_bias(errors: Array, labels: npt.ArrayLike) -> dict[str, float]:
    _same_length(errors, labels=np.asarray(labels))
    return {name: mean for name, _, mean in class_bias(errors, labels)}
