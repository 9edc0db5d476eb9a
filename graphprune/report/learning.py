"""Whether the models of a run have learned: their test metric compared with that of a trivial prediction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from graphprune.report.arms import Arm, arms
from graphprune.report.format import is_number, larger_is_better, significant, value

_Z95 = 1.959963984540054
TRIVIAL = {
    "accuracy": "always predicting the most frequent class",
    "mae": "repeating the last value",
}


@dataclass(frozen=True)
class Learning:
    """The test metric of a model compared with that of the trivial prediction.

    Attributes:
        name: The arm, or ``the seed run``.
        metric: ``accuracy`` or ``mae``.
        reached: Mean of the metric over the random seeds.
        interval: 95 % interval of the mean, or None for the MAE of a single training.
        trivial: The metric of the trivial prediction on the same test part (see `TRIVIAL`).
        learned: Whether the models are better than the trivial prediction by more than the interval.
    """

    name: str
    metric: str
    reached: float
    interval: tuple[float, float] | None
    trivial: float
    learned: bool

    @property
    def figures(self) -> str:
        """The comparison in words; follows the name of the model in a sentence.

        >>> Learning("full", "mae", 20.0, None, 19.9, False).figures
        'has a mean absolute error of 20.00, not clearly better than repeating the last value (19.90)'
        """
        interval = ""
        if self.interval is not None:
            low, high = (value(self.metric, bound, unit=False) for bound in self.interval)
            interval = f" (95 % interval {low} to {high})"
        reached, trivial = value(self.metric, self.reached), value(self.metric, self.trivial)
        verb = "reaches" if self.metric == "accuracy" else "has a mean absolute error of"
        better = "clearly better" if self.learned else "not clearly better"
        return f"{verb} {reached}{interval}, {better} than {TRIVIAL[self.metric]} ({trivial})"


def judge_training(metrics: dict[str, Any]) -> Learning | None:
    """Whether the arm that trains on all data has learned; without one, the only arm of the run.

    Accuracies are compared with ``dataset.majority_share`` (the share of the test part that belongs to the most
    frequent class of the training part), errors with the arm ``last_value``. None if `metrics.json` has neither.
    """
    known = arms(metrics)
    trained = [arm for arm in known.values() if arm.role != "no_training"]
    arm = known.get("full") or (trained[0] if len(trained) == 1 else None)
    if arm is None:
        return None
    return _judge(arm.name, arm.metric, [one for one in arm.values if one is not None], metrics, known)


def judge_seed_run(metrics: dict[str, Any]) -> Learning | None:
    """Whether the seed run has learned, by its test metric in ``seed_run``; None if `metrics.json` has none."""
    found = metrics.get("seed_run")
    if not found:
        return None
    return _judge("the seed run", found["metric"], [float(found["value"])], metrics, arms(metrics))


def _judge(
    name: str, metric: str, values: Sequence[float], metrics: dict[str, Any], known: dict[str, Arm]
) -> Learning | None:
    dataset = metrics.get("dataset") or {}
    if larger_is_better(metric):
        trivial = dataset.get("majority_share")
    else:
        trivial = known["last_value"].mean if "last_value" in known else None
    if not values or not is_number(trivial):
        return None
    assert trivial is not None
    n_test = dataset.get("n_test") if is_number(dataset.get("n_test")) and metric == "accuracy" else None
    mean = math.fsum(values) / len(values)
    interval = _interval(values, n_test)
    if not larger_is_better(metric):
        worst = mean if interval is None else interval[1]
        return Learning(name, metric, mean, interval, float(trivial), worst < trivial)
    lowest = mean if interval is None else interval[0]
    # A t interval of two or three values can be wider than the binomial interval of each of them.
    each = bool(n_test) and all(_wilson(one, n_test)[0] > trivial for one in values)
    return Learning(name, metric, mean, interval, float(trivial), lowest > trivial or each)


def _interval(values: Sequence[float], n_test: float | None) -> tuple[float, float] | None:
    r"""95 % interval of the mean: :math:`\bar x \pm t_{n-1,.975}\, s / \sqrt n` over the random seeds.

    Values without spread (a single value, or models that all predict one class) do not show the effect of chance;
    accuracies then have Wilson's binomial interval for ``n_test`` test samples, and errors have none.
    """
    from scipy.special import stdtrit

    n, mean = len(values), math.fsum(values) / len(values)
    if n > 1 and max(values) > min(values):
        spread = math.sqrt(math.fsum((one - mean) ** 2 for one in values) / (n - 1))
        half = float(stdtrit(n - 1, 0.975)) * spread / math.sqrt(n)
        return mean - half, mean + half
    return _wilson(mean, n_test) if n_test else None


def _wilson(share: float, n: float | None) -> tuple[float, float]:
    """Wilson's 95 % interval of a binomial proportion of ``n`` samples.

    >>> [round(bound, 4) for bound in _wilson(0.5, 100)]
    [0.4038, 0.5962]
    """
    assert n
    middle = (share + _Z95**2 / (2 * n)) / (1 + _Z95**2 / n)
    half = _Z95 / (1 + _Z95**2 / n) * math.sqrt(max(0.0, share * (1 - share) / n + _Z95**2 / (4 * n**2)))
    return middle - half, middle + half


def training_sentence(found: Learning) -> str:
    """The verdict if the models have not learned."""
    return (
        f"The models have not learned yet: {found.name} {found.figures}. "
        "Raise training.epochs or training.lr before comparing arms."
    )


def seed_run_note(found: Learning) -> str:
    """The note next to the verdict if the seed run has not learned."""
    return (
        f"The seed run has not learned yet: it {found.figures}. Its scores mean little; "
        "raise seed_training.epochs, seed_training.lr or seeds.fraction."
    )


def learning_notes(metrics: dict[str, Any]) -> list[str]:
    """Notes next to the verdict: a seed run at chance level, or forecasts worse than the historical average."""
    notes = []
    seeds = judge_seed_run(metrics)
    if seeds is not None and not seeds.learned:
        notes.append(seed_run_note(seeds))
    known = arms(metrics)
    full, average = known.get("full"), known.get("historical_average")
    means = [None if arm is None else arm.mean for arm in (full, average)]
    if None not in means and means[0] >= means[1]:  # type: ignore[operator]
        shown = [significant(mean, 4) for mean in means]
        notes.append(
            f"The historical average needs no training and is at least as good: it has a mean absolute error of "
            f"{shown[1]}, full has {shown[0]}."
        )
    return notes
