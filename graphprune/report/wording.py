"""The sentences of the verdict and of its evidence."""

from __future__ import annotations

from collections.abc import Sequence

from graphprune.report.arms import EQUAL_COST, Arm
from graphprune.report.comparison import Comparison
from graphprune.report.format import difference, fixed, larger_is_better, percent, value

PLAIN = {
    "full": "the full run, which costs no more",
    "full_short": "training shorter on all data at the same cost",
    "random_equal_cost": "training on a random subset at the same cost",
    "rs2_equal_cost": "training on a new random subset in every epoch (RS2) at the same cost",
}
ADVICE = {
    "full": "Train on all data instead of pruning",
    "full_short": "Train shorter on all data instead of pruning",
    "random_equal_cost": "Train on a random subset",
    "rs2_equal_cost": "Train on a new random subset in every epoch (RS2)",
}
NOT_QUITE_EQUAL = 0.1


def prune(table: Sequence[Comparison]) -> str:
    """The advice to prune with the arm that ``table`` compares."""
    arm = table[0].arm
    short = next(one for one in table if one.other.base == "full_short")
    text = (
        f"Prune with {_name(arm)}: it reaches {_reached(arm)}, {_amount(short)} better than "
        f"{PLAIN['full_short']} ({_interval(short)}, {short.n} random seeds)."
    )
    facts = []
    if arm.wall_clock_ratio is not None:
        facts.append(f"takes {fixed(arm.wall_clock_ratio)} of the full run's time")
    if arm.metric_delta is not None:
        facts.append(f"is {_beside_full(arm.metric, arm.metric_delta)}")
    return text + (f" It {' and '.join(facts)}." if facts else "")


def undecided(least: Comparison) -> str:
    """The verdict if the best pruned arm is better, but not by more than its interval."""
    return (
        f"No clear difference with {least.n} random seeds: {_name(least.arm)} is {_amount(least)} better than "
        f"{PLAIN[least.other.base]}, but zero lies inside the {_interval(least)}. "
        "Use more random seeds (training.random_states) to decide."
    )


def simpler(one: Comparison) -> str:
    """The advice to use the simple arm of ``one``."""
    other = one.other
    versus = "the same as" if one.mean == 0 else f"{_amount(one)} better than"
    cost = "at the same cost" if other.base in EQUAL_COST else "at no higher cost"
    clear = "It needs no preparation."
    if one.high >= 0:
        clear = f"That is no clear difference, but {other.name} needs no preparation."
    return (
        f"{ADVICE[other.base]}: {other.name} reaches {_reached(other)}, {versus} {_name(one.arm)} {cost} "
        f"({_interval(one, flip=True)}, {one.n} random seeds). {clear}"
    )


def line(one: Comparison) -> str:
    """One comparison with its interval."""
    finding = "clearly better" if one.low > 0 else "clearly worse" if one.high < 0 else "no clear difference"
    arm, other = one.arm, one.other
    side = "ahead" if one.mean >= 0 else "behind"
    figures = f"{value(arm.metric, arm.mean)} and {value(arm.metric, other.mean)}"
    return (
        f"{arm.name} against {other.name}: {figures}, "
        f"{_amount(one)} {side} ({_interval(one)}, n = {one.n}): {finding}."
    )


def against_full(arm: Arm, full: Arm) -> str:
    """What an arm saves and loses compared with the full run."""
    if arm.wall_clock_ratio is None or arm.metric_delta is None:
        return f"{arm.name} against full: the cost was not recorded."
    saves = "; it saves nothing" if arm.wall_clock_ratio >= 1 else ""
    delta = difference(arm.metric, arm.metric_delta)
    return (
        f"{arm.name} against full ({value(full.metric, full.mean)}): {delta}, "
        f"in {fixed(arm.wall_clock_ratio)} of the wall-clock time, all costs included{saves}."
    )


def unequal_costs(compared: Sequence[Comparison]) -> list[str]:
    """A warning for each equal-cost arm whose cost differs by more than 10 % from that of its pruned arm."""
    warnings = []
    for one in compared:
        spent = {
            "sample passes": (one.arm.cost_passes, one.other.cost_passes),
            "wall-clock time": (one.arm.total_seconds, one.other.total_seconds),
        }
        for what, (mine, theirs) in spent.items():
            if one.other.base in EQUAL_COST and mine and theirs and abs(theirs / mine - 1) > NOT_QUITE_EQUAL:
                ratio = fixed(theirs / mine)
                warnings.append(
                    f"Costs are not equal: {one.other.name} took {ratio} of the {what} of {one.arm.name}."
                )
    return warnings


def method(seeds: int, candidates: int) -> str:
    """How the intervals were computed."""
    jointly = "" if candidates == 1 else f", valid jointly for the {candidates} pruned arms (Bonferroni)"
    return f"Intervals: 95 %, paired t over {seeds} random seeds on this test set{jointly}."


def _name(arm: Arm) -> str:
    return arm.name if arm.keep is None else f"{arm.name} (keep {percent(arm.keep)})"


def _reached(arm: Arm) -> str:
    return ("" if arm.metric == "accuracy" else f"an {arm.metric.upper()} of ") + value(arm.metric, arm.mean)


def _beside_full(metric: str, delta: float) -> str:
    if delta == 0:
        return "as good as the full run"
    better = "better" if (delta > 0) == larger_is_better(metric) else "worse"
    return f"{difference(metric, abs(delta)).lstrip('+')} {better} than the full run"


def _amount(one: Comparison) -> str:
    return difference(one.arm.metric, abs(one.mean)).lstrip("+")


def _interval(one: Comparison, *, flip: bool = False) -> str:
    low, high = (0 - one.high, 0 - one.low) if flip else (one.low, one.high)
    metric = one.arm.metric
    return f"95 % interval {difference(metric, low, unit=False)} to {difference(metric, high, unit=False)}"
