"""Time, memory and disk of each stage of a job, reckoned from its calibration."""

from __future__ import annotations

import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from graphprune.config import ArmConfig, Config
from graphprune.data.base import Data
from graphprune.ledger import Cost
from graphprune.planning.calibrate import Calibration, calibrate, resident_mib
from graphprune.registry import get
from graphprune.stages.dynamic import FROM_RUN
from graphprune.stages.job import Job
from graphprune.stages.methods import methods_of

_MIB = 2**20
# The page holds its plotting library and at most 50,000 samples.
_PAGE_BYTES = 5 * _MIB
_PAGE_BYTES_PER_SAMPLE = 60


@dataclass(frozen=True)
class Stage:
    """What one stage will cost: wall-clock seconds, peak resident memory in MiB, disk in MiB, samples trained."""

    name: str
    seconds: float
    peak_mib: float
    disk_mib: float
    trained_samples: int = 0


@dataclass(frozen=True)
class Plan:
    """What a job will cost on this machine.

    Attributes:
        stages: In the order in which they run, named as in ``ledger.json`` (``oracle``, ``extrapolate`` and each
            arm summed up). ``other`` is what the ledger does not count: reading the data, testing, the page.
        calibration_seconds: What it took to find out.
        notes: What could not be measured beforehand, one sentence each.
    """

    stages: tuple[Stage, ...]
    calibration_seconds: float
    notes: tuple[str, ...] = ()

    @property
    def total(self) -> Stage:
        """Sum of times and disk, and the largest memory."""
        return Stage(
            "total",
            sum(stage.seconds for stage in self.stages),
            max(stage.peak_mib for stage in self.stages),
            sum(stage.disk_mib for stage in self.stages),
            sum(stage.trained_samples for stage in self.stages),
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
    from graphprune.pipeline import check_names, open_job
    from graphprune.store import RunFolder

    check_names(config)
    with tempfile.TemporaryDirectory(prefix="graphprune-plan-") as scratch:
        folder = RunFolder(Path(scratch) / "run")
        with folder.locked():
            start = time.perf_counter()
            job = open_job(config, folder, data=data)
            loading = time.perf_counter() - start
            measured = calibrate(job, Path(scratch))
        return _Reckoning(job, measured, loading).plan()


class _Reckoning:
    def __init__(self, job: Job, measured: Calibration, loading: float) -> None:
        self.job, self.config, self.measured, self.loading = job, job.config, measured, loading
        self.n = len(job.data.train)
        self.epochs = job.config.training.epochs
        self.seeds = max(2, round(job.config.seeds.fraction * self.n))
        self.stages: list[Stage] = []
        self.spent: dict[str, Cost] = {}
        self.notes: list[str] = []

    def plan(self) -> Plan:
        self._seeds()
        self._graph()
        self._oracle()
        self._judge()
        self._arms()
        self._other()
        if self.measured.untried:
            untried = ", ".join(self.measured.untried)
            self.notes.append(f"not tried beforehand, and reckoned as taking no time: {untried}")
        return Plan(tuple(self.stages), self.measured.seconds + self.loading, tuple(self.notes))

    def _add(self, name: str, cost: Cost, *, disk_bytes: float = 0.0, peak_mib: float | None = None) -> None:
        peak = cost.peak_mib if peak_mib is None else peak_mib
        self.spent[name] = cost
        self.stages.append(Stage(name, cost.seconds, peak, disk_bytes / _MIB, cost.trained_samples))

    def _train(self, kind: str, samples: float) -> Cost:
        measured = self.measured.training[kind]
        return Cost(measured.seconds_for(samples), measured.peak_mib, trained_samples=round(samples))

    def _evaluation(self, kind: str, samples: float) -> Cost:
        measured = self.measured.evaluation.get(kind)
        if measured is None:
            return Cost()
        return Cost(measured.seconds_for(samples), measured.peak_mib, forward_samples=round(samples))

    def _table_bytes(self, rows: float) -> float:
        return self.measured.row_bytes * rows

    def _seeds(self) -> None:
        config = self.config
        an_epoch = min(self.n, round(self.seeds * (1 + config.seeds.background)))
        visits = an_epoch * config.seed_training.epochs
        scores = len(config.scores)
        disk = self.measured.weight_bytes + scores * self._table_bytes(self.seeds)
        self._add("seed_training", self._train("seed", visits), disk_bytes=disk)
        passes = self._evaluation("seed", self.seeds * int(config.seed_training.epochs))
        if passes.forward_samples:
            self._add("seed_training_evaluation", passes)
        if config.short_run is not None:
            share = an_epoch / self.n
            epochs = config.short_run.epochs or max(1, round(config.seed_training.epochs * share))
            signals = 1 if self.job.data.info.num_classes is None else 3
            self._add(
                "short_run",
                self._train("short_run", epochs * self.n),
                disk_bytes=2 * signals * epochs * self.n,
            )

    def _graph(self) -> None:
        measured, n = self.measured, self.n
        forward = n if self.config.embedding.source in ("seed_model", "reference") else 0
        cost = Cost(measured.embed.seconds_for(n), measured.embed.peak_for(n), forward_samples=forward)
        self._add("embed", cost, disk_bytes=4 * n * measured.dimensions)
        exact = self.config.graph.backend == "exact" or n <= 200_000
        seconds = measured.graph.seconds_for(n, power=2.0 if exact else 1.5)
        cost = Cost(seconds, measured.graph.peak_for(n))
        self._add("graph", cost, disk_bytes=8 * n * self.config.graph.k)
        fits = measured.fits.values()
        scores = len(self.config.scores)
        # Fitted on part of the seeds to be judged, and once more on all.
        seconds = 2 * scores * sum(fit.seconds_for(n) for fit in fits)
        peak = max(fit.peak_for(n) for fit in fits)
        disk = scores * len(fits) * self._table_bytes(n + self.config.seeds.heldout * self.seeds)
        self._add("extrapolate", Cost(seconds, peak), disk_bytes=disk)

    def _oracle(self) -> None:
        if self.config.oracle is None:
            return
        runs, visits = self.config.oracle.runs, self.n * self.epochs
        one = self._train("oracle", visits) + self._evaluation("oracle", self.n * int(self.epochs))
        disk = self.measured.weight_bytes + len(self.config.scores) * self._table_bytes(self.n)
        self._add(
            "oracle",
            Cost(runs * one.seconds, one.peak_mib, runs * one.trained_samples),
            disk_bytes=runs * disk,
        )

    def _judge(self) -> None:
        judge, held = self.measured.judge, self.config.seeds.heldout * self.seeds
        rows = held + (self.n - self.seeds if self.config.oracle else 0)
        pairs = len(self.config.scores) * len(methods_of(self.job))
        self._add("evaluate", Cost(pairs * judge.seconds_for(rows), judge.peak_for(rows)))

    def _arms(self) -> None:
        training, states = self.config.training, len(self.config.training.random_states)
        keep = training.baselines_keep or (self.config.arms[0].keep if self.config.arms else 0.5)
        full = self._train("arm", self.n * self.epochs)
        for name, kept in (("full", 1.0), ("random", keep), ("rs2", keep)):
            self._add_arm(name, kept, states)
        budgets: dict[str, float] = {}
        for arm in self.config.arms:
            kept = self._kept(arm)
            if arm.name in self.measured.rules:
                rule = self.measured.rules[arm.name]
                cost = Cost(rule.seconds_for(self.n), rule.peak_for(self.n))
                self._add(f"select/{arm.name}", cost, disk_bytes=12 * kept * self.n)
            self._add_arm(arm.name, kept, states)
            self._add_budget(
                budgets, self._overhead(arm) + self._train("arm", kept * self.n * self.epochs), full
            )
        if training.sampler is not None:
            self._add_arm(training.sampler.name, 1.0, states)
            self._add_budget(budgets, full, full)
            self.notes.append(f"sampler '{training.sampler.name}' is reckoned as visiting every sample")
        for label, share in budgets.items():
            suffix = f"@{label}" if len(budgets) > 1 else ""
            for name in ("full_short", "random_equal_cost", "rs2_equal_cost"):
                self._add_arm(name + suffix, share, states)

    def _add_arm(self, name: str, kept: float, states: int) -> None:
        one = self._train("arm", kept * self.n * self.epochs)
        disk = states * (self.measured.weight_bytes + 1000)
        self._add(
            f"train/{name}",
            Cost(states * one.seconds, one.peak_mib, states * one.trained_samples),
            disk_bytes=disk,
        )

    def _kept(self, arm: ArmConfig) -> float:
        if arm.sampler is None:
            return arm.keep
        kept = arm.sampler.options.get("keep")
        if isinstance(kept, int | float):
            return float(kept)
        self.notes.append(
            f"arm '{arm.name}': its sampler decides as it goes; reckoned as visiting every sample"
        )
        return 1.0

    def _overhead(self, arm: ArmConfig) -> Cost:
        """What `graphprune.stages.overhead` will book, in seconds and samples."""
        options = {} if arm.sampler is None else arm.sampler.options
        parts = {part for part in ("graph", "embeddings") if options.get(part) == FROM_RUN}
        if self.config.starts_warm(arm):
            parts.add("seeds")
        total = Cost()
        if arm.score is not None:
            parts |= set(get("extrapolator", arm.extrapolator).spends)
            total = Cost(self.measured.fits[arm.extrapolator].seconds_for(self.n))
        if parts & {"graph", "embeddings"}:
            total = total + self.spent["embed"]
            if self.config.embedding.source == "seed_model":
                parts.add("seeds")
        if "seeds" in parts:
            total = total + self.spent["seed_training"]
            if arm.score is not None and get("score", arm.score).phase == "eval":
                total = total + self.spent.get("seed_training_evaluation", Cost())
        for part in ("graph", "short_run"):
            total = total + (self.spent.get(part, Cost()) if part in parts else Cost())
        return total

    def _add_budget(self, budgets: dict[str, float], spent: Cost, full: Cost) -> None:
        share = spent.seconds / full.seconds
        if self.config.training.budget == "passes":
            share = spent.passes(self.n, self.epochs)
        budgets.setdefault(f"{share:.2f}", share)

    def _other(self) -> None:
        trained = sum(stage.name.startswith("train/") for stage in self.stages)
        tests = trained * len(self.config.training.random_states)
        seconds = self.loading + tests * self.measured.test.seconds_for(len(self.job.data.test))
        page = _PAGE_BYTES + _PAGE_BYTES_PER_SAMPLE * min(self.n, 50_000)
        self._add("other", Cost(seconds), disk_bytes=page, peak_mib=resident_mib())
