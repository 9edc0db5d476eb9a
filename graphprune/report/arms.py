"""The training arms of a `metrics.json`: what each one is, reached and cost."""

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
    "full": "all the data, the whole schedule",
    "pruned": "chosen by the job",
    "equal_cost": "the same total cost, spent on something simple",
    "baseline": "chosen at random, the same keep fraction",
    "no_training": "a forecast without training",
}


@dataclass(frozen=True)
class Arm:
    """One training arm.

    Attributes:
        name: Its key in ``metrics["training"]``, e.g. ``full_short@0.60``.
        role: What it is there for; an arm whose name is not reserved is ``pruned``.
        metric: ``accuracy`` or ``mae``.
        values: The metric for each random state, in the order of the config; None where it is missing.
        keep: Kept fraction of the samples, or None.
        mean, std: Over the random states (``ddof=1``).
        seconds: Wall-clock of the training alone.
        total_seconds: Wall-clock of everything the arm needed, seed run included.
        cost_passes: The same in full trainings, (3 x trained + forwarded) / (3 N E).
        samples_seen, backward_samples: Samples that went forward, and backward, in training.
        wall_clock_ratio, metric_delta: The arm beside ``full``.
        break_even: Trainings after which a pruned arm's preparation has paid for itself, against training on
            everything as often; ``inf`` if one training saves nothing.
        equal_cost: Names of its equal-cost arms where ``metrics.json`` states them.
        step: What one test sample changes in an accuracy; 0 for errors, and where the size of the test set is unknown.
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
        """The name without the budget that several budgets append."""
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
    """The arms of a `metrics.json` by name: full first, then pruned ones, each kind in the given order.

    Keys that are absent become None. ``total_seconds`` falls back to ``saving``'s ratio times that of
    ``full``, and for arms that need no preparation to ``seconds``.
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
    """The simple arms that spend what ``arm`` spent: at most one of each of `EQUAL_COST`.

    They are those that the arm names itself; else, of the ones with the same base name, the one whose cost
    in passes (or the budget in its name) is nearest to the arm's, and the only one if there is no choice.
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
