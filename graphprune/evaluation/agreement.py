"""Agreement of predicted scores with measured ones: pure functions on arrays that return None instead of NaN."""

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
from graphprune.extrapolate.calibration import calibration, class_bias, coverage90
from graphprune.files import require_finite
from graphprune.options import Count

Array = npt.NDArray[np.float64]
KEEPS = (0.1, 0.3, 0.5, 0.7)


@dataclass(frozen=True)
class Agreement:
    """Agreement: how well predicted scores agree with the true scores of the same n samples.

    A figure that is undefined is None.

    Attributes:
        n: Samples compared.
        spearman, pearson, kendall: Correlations (Kendall's tau-b).
        spearman_ci95, pearson_ci95: Percentile bootstrap intervals ``[low, high]``; None with fewer than five
            blocks.
        block: Neighboring rows that the bootstrap draws together.
        mse: Mean squared error, in squared units of the score.
        overlap: For each keep fraction, the fraction of the truly best samples that are also predicted best; a
            random prediction reaches the keep fraction itself.
        calibration: Ten parts of equal size by predicted value, ascending: mean ``predicted``, mean ``truth``, ``n``.
        coverage90: Fraction of true scores within predicted +- 1.645 std; None without std.
        class_bias: For each class, the mean of predicted - truth; None without labels.
        reason: Why figures are undefined, or None.
    """

    n: int
    spearman: float | None
    spearman_ci95: list[float] | None
    pearson: float | None
    pearson_ci95: list[float] | None
    kendall: float | None
    block: int
    mse: float | None
    overlap: dict[str, float | None]
    calibration: list[dict[str, float]]
    coverage90: float | None
    class_bias: dict[str, float] | None
    reason: str | None

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain numbers, strings and None, for JSON."""
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

    The meaning of the result depends on the truth. Held-out seeds show agreement with the seed run only, and
    seeds differ from other samples because the seed run trained on them. An oracle (the mean of full runs) shows
    agreement with the score of interest; compare it with `noise_ceiling`.

    Args:
        predicted, truth: ``[n]``, finite.
        std: Standard deviations of the predictions ``[n]``, not negative.
        labels: Classes ``[n]`` int.
        n_bootstrap: Resamples for the intervals (default: 1000; 0: no intervals).
        block: Neighboring rows drawn together (default: 1). Overlapping windows are not independent, so drawing
            them one by one gives intervals that are far too narrow; use the number of windows that share readings.
            With 1,600 windows of 24 readings each, nominal 95 % intervals contained the true correlation in 36 to
            39 % of 300 simulations row by row, and in 89 to 91 % with blocks of 24
            (experiments/evaluation_windows).
        seed: Seed of the resamples (default: 0).

    Raises:
        InputError: lengths differ, values are NaN or infinite, a std is negative, or block is below 1.

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
        raise InputError(f"block is {block}; it must be at least 1")
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
        block=block,
        mse=float(np.mean((p - t) ** 2)) if n else None,
        overlap={f"{keep:g}": overlap(p, t, keep) for keep in KEEPS},
        calibration=calibration(p, t),
        coverage90=None if std is None or not n else _coverage(p, t, std),
        class_bias=None if labels is None else _class_bias(p - t, labels),
        reason=reason,
    )


def overlap(predicted: npt.ArrayLike, truth: npt.ArrayLike, keep: float) -> float | None:
    """Fraction ``|A and B| / |A|`` of the truly best ``keep`` fraction A that is also predicted best (B).

    Both sets contain ``round(keep * n)`` samples, at least 1; ties go to the lower position, as in selections. A
    random choice reaches ``keep``. None if there are no samples.
    """
    p, t = np.asarray(predicted), np.asarray(truth)
    if not len(p):
        return None
    count = max(1, math.floor(keep * len(p) + 0.5))
    best_p, best_t = (np.argsort(-values, kind="stable")[:count] for values in (p, t))
    return len(np.intersect1d(best_p, best_t, assume_unique=True)) / count


def noise_ceiling(runs: Sequence[npt.ArrayLike]) -> dict[str, Any]:
    r"""The largest correlation with the mean of R full runs that the noise between runs permits.

    Let the score of run r be :math:`x_r = s + e_r` with independent noise of equal variance, and let the
    correlation of single runs be :math:`\rho = \mathrm{corr}(x_1, x_2) = \mathrm{var}(s) / \mathrm{var}(x)`. Then
    the mean of R runs has variance :math:`(1 + (R-1)\rho) \mathrm{var}(x) / R`, and so

    .. math::
        \mathrm{corr}(x_{R+1}, \bar x) = \rho \sqrt{\frac{R}{1 + (R-1)\rho}}, \qquad
        \mathrm{corr}(s, \bar x) = \sqrt{\frac{R \rho}{1 + (R-1)\rho}},

    A perfect predictor reaches the second one, which for R = 2 is :math:`\sqrt{2\rho/(1+\rho)}`.

    Args:
        runs: At least two score vectors ``[n]`` of the same samples in the same order.

    Returns:
        ``runs``, ``n``, ``spearman`` and ``pearson`` (means over pairs of single runs), ``further_run_vs_mean`` and
        ``perfect`` (from the Spearman correlation), ``further_run_vs_mean_pearson`` and ``perfect_pearson``, and
        ``reason`` (None, or why figures are None).

    Raises:
        InputError: there are fewer than two runs, lengths differ, or values are NaN or infinite.

    Cost: O(R n log n + R^2 n).

    >>> ceiling = noise_ceiling([[1.0, 2.0, 3.0, 4.0], [1.0, 3.0, 2.0, 4.0]])
    >>> round(ceiling["spearman"], 3), round(ceiling["further_run_vs_mean"], 3), round(ceiling["perfect"], 3)
    (0.8, 0.843, 0.943)
    """
    vectors = {f"run {i}": _vector(run, f"run {i}") for i, run in enumerate(runs)}
    if len(vectors) < 2:
        raise InputError(
            f"the noise ceiling compares runs with each other and received {len(vectors)}; pass at least 2"
        )
    first = vectors["run 0"]
    _same_length(first, **vectors)
    count = len(vectors)
    answer: dict[str, Any] = {"runs": count, "n": len(first), "reason": _undefined(len(first), **vectors)}
    figures: dict[str, float | None] = {"spearman": None, "pearson": None}
    if answer["reason"] is None:
        weights = np.ones(len(first))
        rankings = [Ranking(vector).centered_ranks(weights) for vector in vectors.values()]
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


@dataclass(frozen=True)
class _Correlations:
    spearman: float | None = None
    spearman_ci95: list[float] | None = None
    pearson: float | None = None
    pearson_ci95: list[float] | None = None
    kendall: float | None = None


def _correlations(p: Array, t: Array, n_bootstrap: int, block: int, seed: int) -> _Correlations:
    from scipy.stats import kendalltau

    # The p-value is not used, and the exact one is slow.
    tau = float(kendalltau(p, t, method="asymptotic").statistic)
    # Sorted by p, the ranks of p are plain cumulative sums, without a gather and a scatter.
    order = np.argsort(p, kind="stable")
    p, t = p[order], t[order]
    of_p, of_t = Ranking(p), Ranking(t)
    # Variances of very small scores would underflow; a power of two changes no digit of Pearson's r.
    p, t = (np.ldexp(x, -int(np.frexp(np.abs(x).max())[1])) for x in (p, t))

    def both(weights: Array) -> tuple[float, float]:
        ranks = of_p.centered_ranks(weights), of_t.centered_ranks(weights)
        spearman = pearson(*ranks, weights)
        # The variance of equal values may be a rounding error; the variance of their ranks is exactly 0.
        linear = math.nan if math.isnan(spearman) else pearson(p, t, weights)
        return spearman, linear

    exact = both(np.ones(len(p)))
    draws = resamples(len(p), n_bootstrap if enough_blocks(len(p), block) else 0, seed, block)
    # Blocks are drawn from the rows as given; for single rows the order makes no difference.
    drawn = np.array([both(w if block == 1 else w[order]) for w in draws]).reshape(-1, 2)
    return _Correlations(
        spearman=exact[0],
        spearman_ci95=percentiles(drawn[:, 0]),
        pearson=exact[1],
        pearson_ci95=percentiles(drawn[:, 1]),
        kendall=tau,
    )


def _vector(values: npt.ArrayLike, what: str) -> Array:
    vector = np.asarray(values)
    if vector.ndim != 1 or vector.dtype.kind not in "fiub":
        raise InputError(
            f"{what} has shape {vector.shape} and type {vector.dtype}; pass one number per sample"
        )
    require_finite(vector, what)
    return vector.astype(np.float64)


def _same_length(first: Array, **others: npt.NDArray[Any]) -> None:
    for name, other in others.items():
        if len(other) != len(first):
            raise InputError(
                f"{name} has {len(other)} samples but the first has {len(first)}; align them by id"
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
        raise InputError(f"std: {(spread < 0).sum()} values are negative; pass standard deviations")
    return coverage90(p, t, spread)


def _class_bias(errors: Array, labels: npt.ArrayLike) -> dict[str, float]:
    _same_length(errors, labels=np.asarray(labels))
    return {name: mean for name, _, mean in class_bias(errors, labels)}
