"""The table of ``graphprune plan``."""

from __future__ import annotations

from graphprune.jobs.plan.account import PlannedStage
from graphprune.jobs.plan.predict import Plan


def plan_table(plan: Plan) -> str:
    """Format the stages with their seconds, memory and disk space, the total and the notes."""
    width = max(len(stage.name) for stage in plan.stages)

    def line(stage: PlannedStage) -> str:
        return f"{stage.name:<{width}}  {stage.seconds:>9.1f}  {stage.peak_mib:>9.0f}  {stage.disk_mib:>8.1f}"

    head = f"{'stage':<{width}}  {'seconds':>9}  {'peak MiB':>9}  {'disk MiB':>8}"
    rows = [head, *map(line, plan.stages), line(plan.total)]
    notes = [f"note: {note}" for note in plan.notes]
    measured = f"estimated from {plan.calibration_seconds:.1f} s of measurements; other load on the machine slows a run"
    return "\n".join([*rows, measured, *notes])
