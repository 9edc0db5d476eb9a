"""The training arms of a `metrics.json`: role, result and cost of each."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from graphprune.report.format import is_number

Role = Literal["full", "pruned", "equal_cost", "baseline", "no_training"]

EQUAL_COST = ("full_short", "random_equal_cost", "rs2_equal_cost")
ROLES: dict[str, Role] = {
    "full": "full",
    "random": "baseline",
    "rs2": "baseline",
    **dict.fromkeys(EQUAL_COST, "equal_cost"),
    "last_value": "no_training",
    "historical_average": "no_training",
}
ROLE_WORDS: dict[Role, str] = {
    "full": "all data, full schedule",
    "pruned": "pruned arm of this job",
    "equal_cost": "simple alternative at the same total cost",
    "baseline": "random selection, same keep fraction",
    "no_training": "forecast without training",
}


@dataclass(frozen=True)
class Arm:
    """One training arm.

    Attributes:
        name: Its key in ``metrics["training"]``, e.g. ``full_short@0.60``.
        role: Its purpose; an arm whose name is not reserved is ``pruned``.
        metric: ``accuracy`` or ``mae``.
        values: The metric for each random seed, in the order of the config; None where it is missing.
        keep: Fraction of the samples kept, or None.
        mean, std: Mean and standard deviation (``ddof=1``) over the random seeds.
        seconds: Wall-clock time of the training alone.
        total_seconds: Wall-clock time of everything the arm needed, including the seed run.
        cost_passes: The same in full trainings, (3 x trained + forwarded) / (3 N E).
        samples_seen, backward_samples: Samples in the forward and backward passes of training.
        wall_clock_ratio, metric_delta: Total time relative to ``full``, and metric minus that of ``full``.
        break_even: Number of trainings after which a pruned arm has saved the cost of its preparation, compared with
            as many full trainings; ``inf`` if a training saves nothing.
        equal_cost: Names of its equal-cost arms if ``metrics.json`` lists them.
        step: Change of the accuracy per test sample; 0 for errors or if the size of the test set is unknown.
    """

    name: str
    role: Role
    metric: str
    values: tuple[float | None, ...]
    keep: float | None
    mean: float | None
    std: float | None
    seconds: float | None
    total_seconds: float | None
    cost_passes: float | None
    samples_seen: float | None
    backward_samples: float | None
    wall_clock_ratio: float | None
    metric_delta: float | None
    break_even: float | None
    equal_cost: tuple[str, ...] | None
    step: float

    @property
    def base(self) -> str:
        """The name without the budget suffix that jobs with several budgets append."""
        return self.name.partition("@")[0]

    @property
    def budget(self) -> float | None:
        """The budget in the name (``0.6`` of ``full_short@0.60``), or None."""
        text = self.name.partition("@")[2]
        try:
            return float(text)
        except ValueError:
            return None


def arms(metrics: dict[str, Any]) -> dict[str, Arm]:
    """The arms of a `metrics.json` by name: full first, then pruned arms, each role in the given order.

    Missing keys become None. ``total_seconds`` falls back to the ratio in ``saving`` times the total of ``full``, and
    to ``seconds`` for arms that need no preparation.
    """
    training: dict[str, dict[str, Any]] = metrics.get("training") or {}
    saving: dict[str, dict[str, Any]] = metrics.get("saving") or {}
    full = training.get("full") or {}
    full_total = _number(full.get("total_seconds")) or _number(full.get("seconds"))
    full_mean = _mean(full)
    n_test = _number((metrics.get("dataset") or {}).get("n_test"))
    order = list(ROLE_WORDS)
    found = []
    for name, raw in training.items():
        role = ROLES.get(name.partition("@")[0], "pruned")
        ratio = _number(saving.get(name, {}).get("wall_clock_ratio"))
        seconds = _number(raw.get("seconds"))
        total = _number(raw.get("total_seconds"))
        if total is None and ratio is not None and full_total is not None:
            total = ratio * full_total
        if total is None and role != "pruned":
            total = seconds
        if ratio is None and total is not None and full_total:
            ratio = total / full_total
        mean = _mean(raw)
        delta = _number(saving.get(name, {}).get("metric_delta"))
        if delta is None and mean is not None and full_mean is not None:
            delta = mean - full_mean
        stated = raw.get("equal_cost")
        metric = str(raw.get("metric", "accuracy"))
        found.append(
            Arm(
                name=name,
                role=role,
                metric=metric,
                values=_values(raw),
                keep=_number(raw.get("keep")),
                mean=mean,
                std=_std(raw),
                seconds=seconds,
                total_seconds=total,
                cost_passes=_number(raw.get("cost_passes")),
                samples_seen=_number(raw.get("samples_seen")),
                backward_samples=_number(raw.get("backward_samples")),
                wall_clock_ratio=ratio,
                metric_delta=delta,
                break_even=_break_even(seconds, total, _number(full.get("seconds")))
                if role == "pruned"
                else None,
                equal_cost=None if stated is None else tuple(stated),
                step=1 / n_test if n_test and metric == "accuracy" else 0.0,
            )
        )
    return {arm.name: arm for arm in sorted(found, key=lambda arm: order.index(arm.role))}


def equal_cost_arms(arm: Arm, known: dict[str, Arm]) -> list[Arm]:
    """The simple arms that cost as much as ``arm``: at most one of each name in `EQUAL_COST`.

    These are the arms that ``arm.equal_cost`` lists. Without a list, it is the arm of each name whose cost in passes
    (or the budget in its name) is nearest to the cost of ``arm``.
    """
    if arm.equal_cost is not None:
        return [known[name] for name in arm.equal_cost if name in known]
    chosen = []
    for base in EQUAL_COST:
        candidates = [other for other in known.values() if other.base == base]
        if len(candidates) > 1:
            candidates = [min(candidates, key=lambda other: _distance(arm, other))]
        chosen += candidates
    return chosen


def _break_even(seconds: float | None, total: float | None, full: float | None) -> float | None:
    if seconds is None or total is None or full is None:
        return None
    return (total - seconds) / (full - seconds) if full > seconds else math.inf


def _distance(arm: Arm, other: Arm) -> float:
    spent = other.cost_passes if other.cost_passes is not None else other.budget
    mine = arm.cost_passes if arm.cost_passes is not None else arm.keep
    return math.inf if spent is None or mine is None else abs(spent - mine)


def _number(raw: Any) -> float | None:
    return float(raw) if is_number(raw) else None


def _values(raw: dict[str, Any]) -> tuple[float | None, ...]:
    values = raw.get("value")
    if not isinstance(values, list):
        values = [] if values is None else [values]
    return tuple(_number(one) for one in values)


def _finite(raw: dict[str, Any]) -> list[float]:
    return [one for one in _values(raw) if one is not None]


def _mean(raw: dict[str, Any]) -> float | None:
    stated = _number(raw.get("mean"))
    values = _finite(raw)
    return stated if stated is not None or not values else math.fsum(values) / len(values)


def _std(raw: dict[str, Any]) -> float | None:
    values = _finite(raw)
    if len(values) < 2:
        return None
    stated = _number(raw.get("std"))
    if stated is not None:
        return stated
    mean = math.fsum(values) / len(values)
    return math.sqrt(math.fsum((one - mean) ** 2 for one in values) / (len(values) - 1))
