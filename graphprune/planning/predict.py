"""Time, memory and disk of each stage of a job, reckoned from its calibration."""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from graphprune.config import Config
from graphprune.data.base import Data
from graphprune.planning.account import Stage
from graphprune.planning.calibrate import calibrate
from graphprune.planning.labels import short_labels
from graphprune.planning.reckon import reckon
from graphprune.stages.seeds import draw_seeds

__all__ = ["Plan", "Stage", "plan"]


@dataclass(frozen=True)
class Plan:
    """What a job will cost on this machine.

    Attributes:
        stages: In the order in which they run, named as in ``ledger.json`` (``oracle``, ``audit``, ``extrapolate``,
            ``reference`` and each arm summed up). ``other`` is what the ledger does not count: reading the data,
            testing, the page.
        calibration_seconds: What it took to find out.
        notes: What could not be measured beforehand, one sentence each.
    """

    stages: tuple[Stage, ...]
    calibration_seconds: float
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> Stage:
        """Sum of times, disk and samples, and the largest memory."""
        return Stage(
            "total",
            sum(stage.seconds for stage in self.stages),
            max(stage.peak_mib for stage in self.stages),
            sum(stage.disk_mib for stage in self.stages),
            sum(stage.trained_samples for stage in self.stages),
            sum(stage.forward_samples for stage in self.stages),
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return {
            "stages": [asdict(stage) for stage in self.stages],
            "total": asdict(self.total),
            "calibration_seconds": self.calibration_seconds,
            "notes": list(self.notes),
        }


def plan(config: Config, *, data: Data | None = None) -> Plan:
    """Predicts what ``run(config)`` will cost; measures for some seconds and writes nothing that stays.

    Raises:
        InputError: whatever the run itself would refuse at its start.
    """
    from graphprune.pipeline import open_job
    from graphprune.stages.checks import check_methods, check_names
    from graphprune.store import RunFolder

    check_names(config)
    with tempfile.TemporaryDirectory(prefix="graphprune-plan-") as scratch:
        folder = RunFolder(Path(scratch) / "run")
        with folder.locked():
            start = time.perf_counter()
            job = open_job(config, folder, data=data)
            check_methods(job)
            loading = time.perf_counter() - start
            scored, labels = short_labels(job)
            draw_seeds(scored)
            measured = calibrate(job, scored, Path(scratch))
            account, notes = reckon(job, scored, measured, labels=labels, loading=loading)
            taken = time.perf_counter() - start
    return Plan(tuple(account.stages.values()), taken, tuple(notes))
