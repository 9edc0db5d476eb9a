"""The verdict of a run: prune, train shorter on all data, or no clear difference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

from graphprune.report import wording
from graphprune.report.agreement import clear_evidence
from graphprune.report.arms import Arm, arms, equal_cost_arms
from graphprune.report.comparison import Comparison, compare_arms
from graphprune.report.learning import judge_training, learning_notes, training_sentence

Kind = Literal["prune", "train_shorter", "no_difference", "not_learned"]


@dataclass(frozen=True)
class Verdict:
    """Verdict: what a user should do, and why.

    Attributes:
        sentence: The advice with its figures, in one to three short sentences.
        evidence: The comparisons that support it, one sentence each.
        kind: ``prune``, ``train_shorter``, ``no_difference`` (also if no verdict is possible) or ``not_learned``.
        notes: Warnings that apply to any advice, such as a seed run at chance level.
    """

    sentence: str
    evidence: list[str]
    kind: Kind
    notes: tuple[str, ...] = ()


def verdict(metrics: dict[str, Any]) -> Verdict:
    r"""Compares each pruned arm with simple arms of the same cost and returns the advice.

    Let :math:`d_r` be the advantage of a pruned arm over a simple arm for random seed r of n. Its interval is

    .. math:: \bar d \pm t_{n-1,\,1-\alpha/2}\, s_d / \sqrt{n}, \qquad \alpha = 0.05 / K

    for K pruned arms, so that the 95 % hold for all of them jointly. Simple arms are `full_short`,
    `random_equal_cost` and `rs2_equal_cost` of the arm's budget, and `full` if it costs no more.

    - ``not_learned``: `full` is not better than the most frequent class (for forecasts: the last value) by more than
      its interval (`graphprune.report.learning`). Differences between such models mean nothing, so this is checked
      first.
    - ``prune``: for some pruned arm, the intervals against all simple arms are above 0.
    - ``no_difference``: some pruned arm is better than every simple arm, but not by more than the interval; or no
      verdict is possible (fewer than two random seeds, no `full_short`).
    - ``train_shorter``: for every pruned arm, some simple arm is at least as good. A tie goes to the simple arm,
      because pruning needs preparation.

    Args:
        metrics: The content of `metrics.json`; a larger ``accuracy`` is better, a smaller ``mae``.

    Raises:
        InputError: an arm's metric is neither ``accuracy`` nor ``mae``.

    Cost: O(arms x random seeds).

    >>> verdict({}).sentence
    'No verdict is possible: this run trained no pruned arm.'
    """
    models = judge_training(metrics)
    if models is not None and not models.learned:
        advice = Verdict(training_sentence(models), [], "not_learned")
    else:
        advice = _advice(metrics)
    return replace(advice, notes=tuple(learning_notes(metrics)))


def _advice(metrics: dict[str, Any]) -> Verdict:
    known = arms(metrics)
    candidates = [arm for arm in known.values() if arm.role == "pruned"]
    if not candidates:
        return _no_statement("this run trained no pruned arm")
    if not any(arm.base == "full_short" for arm in known.values()):
        return _no_statement("there is no full_short arm, which trains shorter on all data at the same cost")
    level = 1 - 0.05 / len(candidates)
    tables = [table for arm in candidates if (table := _against_simple(arm, known, level))]
    if not tables:
        most = max(len(arm.values) for arm in candidates)
        seeds = "1 random seed" if most == 1 else f"{most} random seeds"
        return _no_statement(
            f"{seeds} cannot show a difference; give at least three in training.random_states"
        )
    evidence = [wording.line(one) for table in tables for one in table]
    evidence += wording.unequal_costs([one for table in tables for one in table])
    if "full" in known:
        evidence += [wording.against_full(arm, known["full"]) for arm in candidates]
    evidence += clear_evidence(metrics)
    evidence.append(wording.method(max(one.n for table in tables for one in table), len(candidates)))
    winners = [table for table in tables if min(one.low for one in table) > 0]
    if winners:
        best = max(winners, key=lambda table: min(one.low for one in table))
        return Verdict(wording.prune(best), evidence, "prune")
    best = max(tables, key=lambda table: min(one.mean for one in table))
    hardest = min(best, key=lambda one: one.mean)
    if hardest.mean > 0:
        return Verdict(wording.undecided(hardest), evidence, "no_difference")
    short = next(one for one in best if one.other.base == "full_short")
    return Verdict(wording.simpler(short if short.mean <= 0 else hardest), evidence, "train_shorter")


def _against_simple(arm: Arm, known: dict[str, Arm], level: float) -> list[Comparison]:
    """Compares ``arm`` with each simple arm that costs no more; empty if `full_short` cannot be compared."""
    others = equal_cost_arms(arm, known)
    if "full" in known and arm.wall_clock_ratio is not None and arm.wall_clock_ratio >= 1:
        others.append(known["full"])
    compared = [compare_arms(arm, other, level=level) for other in others]
    table = [one for one in compared if one is not None]
    return table if any(one.other.base == "full_short" for one in table) else []


def _no_statement(why: str) -> Verdict:
    return Verdict(f"No verdict is possible: {why}.", [], "no_difference")
