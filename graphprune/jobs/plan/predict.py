"""Estimate time, memory and disk space of each stage of a job from a calibration."""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from graphprune.config.job import Config
from graphprune.data.base import Data
from graphprune.jobs.arms import all_arms
from graphprune.jobs.job import Job
from graphprune.jobs.plan.account import PlannedRun, PlannedStage
from graphprune.jobs.plan.calibrate import Calibration, calibrate
from graphprune.jobs.plan.labels import short_labels
from graphprune.jobs.plan.measured import resident_mib
from graphprune.jobs.stage_list import stages
from graphprune.jobs.stages import seeds
from graphprune.runtime.cost import Cost

# The report page contains its plotting library and at most 50,000 samples.
_PAGE_BYTES = 5 * 2**20
_PAGE_BYTES_PER_SAMPLE = 60


@dataclass(frozen=True)
class Plan:
    """The estimated cost of a job on this machine.

    Attributes:
        stages: The stages in the order in which they run, named as in ``ledger.json`` (``oracle``, ``audit``,
            ``extrapolate``, ``reference`` and each arm are added up). ``other`` is what the ledger does not count:
            reading the data, testing, the report page.
        calibration_seconds: Duration of the measurements.
        notes: What could not be measured in advance, one sentence each.
    """

    stages: tuple[PlannedStage, ...]
    calibration_seconds: float
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> PlannedStage:
        """The sum of times, disk space and samples, and the largest memory."""
        return PlannedStage(
            "total",
            sum(stage.seconds for stage in self.stages),
            max(stage.peak_mib for stage in self.stages),
            sum(stage.disk_mib for stage in self.stages),
            sum(stage.trained_samples for stage in self.stages),
            sum(stage.forward_samples for stage in self.stages),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return {
            "stages": [asdict(stage) for stage in self.stages],
            "total": asdict(self.total),
            "calibration_seconds": self.calibration_seconds,
            "notes": list(self.notes),
        }


def plan(config: Config, *, data: Data | None = None) -> Plan:
    """Estimate the cost of ``run(config)``; measures for a few seconds and leaves no files.

    Raises:
        InputError: everything that the run itself would refuse at its start.
    """
    from graphprune.jobs.checks import check_methods, check_names
    from graphprune.jobs.pipeline import open_job

    check_names(config)
    with tempfile.TemporaryDirectory(prefix="graphprune-plan-") as scratch:
        run = PlannedRun(Path(scratch) / "run")
        with run.locked():
            start = time.perf_counter()
            job = open_job(config, run, data=data)
            check_methods(job)
            loading = time.perf_counter() - start
            labels = short_labels(job)
            for stage in seeds.stages(job):
                run.ensure(stage)
            measured = calibrate(job, Path(scratch), labels=labels)
            for stage in stages(job):
                run.book(stage, stage.estimate(measured))
            _book_other(job, run, measured, loading)
            taken = time.perf_counter() - start
    notes = list(run.notes)
    if measured.methods.untried:
        notes.append(
            f"not measured, so their time is estimated as zero: {', '.join(measured.methods.untried)}"
        )
    return Plan(tuple(run.account.stages.values()), taken, tuple(notes))


def _book_other(job: Job, run: PlannedRun, measured: Calibration, loading: float) -> None:
    """Add what the ledger does not count: reading the data, testing, the report page."""
    tests = len(all_arms(job)) * len(job.config.training.random_states)
    seconds = loading + tests * measured.passes.test.seconds_for(len(job.data.test))
    page = _PAGE_BYTES + _PAGE_BYTES_PER_SAMPLE * min(len(job.data.train), 50_000)
    run.account.add("other", Cost(seconds, resident_mib()), disk_bytes=page)
