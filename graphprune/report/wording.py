"""The verdict and its evidence in words."""

from __future__ import annotations

from collections.abc import Sequence

from graphprune.report.arms import EQUAL_COST, Arm
from graphprune.report.comparison import Comparison
from graphprune.report.format import difference, fixed, percent, value

PLAIN = {
    "full": "the full run, which costs no more",
    "full_short": "training shorter on everything at the same cost",
    "random_equal_cost": "a random subset at the same cost",
    "rs2_equal_cost": "a fresh random subset each epoch (RS2) at the same cost",
}
ADVICE = {
    "full": "Train on everything",
    "full_short": "Train shorter on everything",
    "random_equal_cost": "Train on a random subset",
    "rs2_equal_cost": "Train on a fresh random subset each epoch (RS2)",
}
NOT_QUITE_EQUAL = 0.1


def prune(table: Sequence[Comparison]) -> str:
    """Advice to prune with the arm that ``table`` compares."""
    arm = table[0].arm
    short = next(one for one in table if one.other.base == "full_short")
    text = (
        f"Prune with {_name(arm)}: it reaches {value(arm.metric, arm.mean)}, {_amount(short)} better than "
        f"training shorter on everything at the same cost ({_interval(short)}, {short.n} random states)"
    )
    if arm.wall_clock_ratio is not None:
        text += f", in {fixed(arm.wall_clock_ratio)} of the full run's time"
    if arm.metric_delta is not None:
        text += f" and {difference(arm.metric, arm.metric_delta)} against the full run"
    return text + "."


def undecided(least: Comparison) -> str:
    """The best pruned arm leads, but not by more than chance allows."""
    return (
        f"No difference seen with {least.n} random states: {_name(least.arm)} is {_amount(least)} better "
        f"than {PLAIN[least.other.base]}, but zero lies within what chance allows ({_interval(least)}); "
        "more random states would tell."
    )


def simpler(one: Comparison) -> str:
    """Advice to spend the cost on the simple arm of ``one``."""
    other = one.other
    by = "exactly as good" if one.mean == 0 else f"{_amount(one)} better"
    text = (
        f"{ADVICE[other.base]}: {other.name} reaches {value(other.metric, other.mean)} at no more than the "
        f"cost of {_name(one.arm)}, {by} ({_interval(one, flip=True)}, {one.n} random states)"
    )
    unclear = "" if one.high < 0 else "; that is no clear difference"
    return text + unclear + ", and nothing has to be computed first."


def line(one: Comparison) -> str:
    """One comparison with its interval."""
    finding = "better" if one.low > 0 else "worse" if one.high < 0 else "no clear difference"
    arm, other = one.arm, one.other
    side = "ahead" if one.mean >= 0 else "behind"
    figures = f"{value(arm.metric, arm.mean)} and {value(arm.metric, other.mean)}"
    return (
        f"{arm.name} against {other.name}: {figures}, "
        f"{_amount(one)} {side} ({_interval(one)}, n = {one.n}): {finding}."
    )


def against_full(arm: Arm, full: Arm) -> str:
    """What an arm saves and loses beside training on everything."""
    if arm.wall_clock_ratio is None or arm.metric_delta is None:
        return f"{arm.name} against full: the cost was not recorded."
    dearer = "; it saves nothing" if arm.wall_clock_ratio >= 1 else ""
    delta = difference(arm.metric, arm.metric_delta)
    return (
        f"{arm.name} against full ({value(full.metric, full.mean)}): {delta}, "
        f"in {fixed(arm.wall_clock_ratio)} of the wall-clock with everything counted{dearer}."
    )


def unequal_costs(compared: Sequence[Comparison]) -> list[str]:
    """A warning for each equal-cost arm that spent over 10 % more or less than the arm it stands beside."""
    warnings = []
    for one in compared:
        spent = {
            "sample-passes": (one.arm.cost_passes, one.other.cost_passes),
            "wall-clock": (one.arm.total_seconds, one.other.total_seconds),
        }
        for what, (mine, theirs) in spent.items():
            if one.other.base in EQUAL_COST and mine and theirs and abs(theirs / mine - 1) > NOT_QUITE_EQUAL:
                ratio = fixed(theirs / mine)
                warnings.append(
                    f"Not quite equal cost: {one.other.name} took {ratio} of {one.arm.name}'s {what}."
                )
    return warnings


def method(states: int, candidates: int) -> str:
    """How the intervals were made."""
    jointly = "" if candidates == 1 else f" for the {candidates} pruned arms together (Bonferroni)"
    return f"Intervals: paired t over {states} random states on this test set, 95 %{jointly}."


def _name(arm: Arm) -> str:
    return arm.name if arm.keep is None else f"{arm.name} (keep {percent(arm.keep)})"


def _amount(one: Comparison) -> str:
    return difference(one.arm.metric, abs(one.mean)).lstrip("+")


def _interval(one: Comparison, *, flip: bool = False) -> str:
    low, high = (-one.high, -one.low) if flip else (one.low, one.high)
    metric = one.arm.metric
    return f"95 % interval {difference(metric, low, unit=False)} to {difference(metric, high, unit=False)}"
