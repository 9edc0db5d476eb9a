"""What a run prints unless the user requests the full tables: the verdict and the arms that it compares."""

from __future__ import annotations

from typing import Any

from graphprune.report.arms import Arm, arms, equal_cost_arms
from graphprune.report.comparison import compare_arms
from graphprune.report.verdict import verdict

_ROWS = 5


def first_screen(metrics: dict[str, Any]) -> str:
    """The verdict with its notes on one line, then at most five arms: what each reached, and its total cost.

    The arms are ``full``, the best pruned arm, and the arms that spend the same total cost on something simple;
    without a pruned arm, the first five.

    Args:
        metrics: The content of ``metrics.json``.
    """
    known, found = arms(metrics), verdict(metrics)
    sentences = [found.sentence] if len(known) > 1 or found.kind == "not_learned" else []
    pruned = [arm for arm in known.values() if arm.role == "pruned"]
    shown = list(known.values())
    if pruned:
        best = max(pruned, key=lambda arm: _rank(arm, known, found.kind == "prune"))
        shown = [*([known["full"]] if "full" in known else []), best, *equal_cost_arms(best, known)]
    rows = [_row(arm) for arm in shown[:_ROWS]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    return "\n".join([" ".join([*sentences, *found.notes]), *lines] if sentences or found.notes else lines)


def _rank(arm: Arm, known: dict[str, Arm], by_bound: bool) -> tuple[float, float]:
    """The order in which the verdict prefers pruned arms: by their least advantage over a simple arm.

    Without enough random seeds for a comparison, the better mean comes first.
    """
    simple = equal_cost_arms(arm, known)
    if "full" in known and arm.wall_clock_ratio is not None and arm.wall_clock_ratio >= 1:
        simple.append(known["full"])
    compared = [one for other in simple if (one := compare_arms(arm, other)) is not None]
    least = min((one.low if by_bound else one.mean for one in compared), default=float("-inf"))
    mean = float("-inf") if arm.mean is None else arm.mean if arm.metric == "accuracy" else -arm.mean
    return least, mean


def _row(arm: Arm) -> tuple[str, ...]:
    spread = "" if arm.std is None else f" ± {arm.std:.4f}"
    metric = {"mae": "MAE"}.get(arm.metric, arm.metric)
    mean = "not finite" if arm.mean is None else f"{arm.mean:.4f}"
    return (
        arm.name,
        "" if arm.keep is None else f"keep {arm.keep:.2f}",
        f"{metric} {mean}{spread}",
        "" if arm.cost_passes is None else f"cost {arm.cost_passes:.2f} full runs",
        "" if arm.total_seconds is None else f"{arm.total_seconds:.1f} s",
    )
