"""Tables of the commands that are not a run's."""

from __future__ import annotations

from graphprune.jobs.plan.account import PlannedStage
from graphprune.jobs.plan.predict import Plan


def plan_table(plan: Plan) -> str:
    """Stages with their seconds, memory and disk, the total, and what to know of it."""
    width = max(len(stage.name) for stage in plan.stages)

    def line(stage: PlannedStage) -> str:
        return f"{stage.name:<{width}}  {stage.seconds:>9.1f}  {stage.peak_mib:>9.0f}  {stage.disk_mib:>8.1f}"

    head = f"{'stage':<{width}}  {'seconds':>9}  {'peak MiB':>9}  {'disk MiB':>8}"
    rows = [head, *map(line, plan.stages), line(plan.total)]
    notes = [f"note: {note}" for note in plan.notes]
    measured = f"measured for {plan.calibration_seconds:.1f} s on this machine; busy cores make it slower"
    return "\n".join([*rows, measured, *notes])
