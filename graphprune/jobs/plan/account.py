"""The planned ledger: entries named as a run's, and the stages that people read."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from graphprune.jobs.run_folder import RunFolder
from graphprune.jobs.stage import Estimate, Stage
from graphprune.runtime.cost import Cost, folded
from graphprune.samplers.base import EpochSampler

_MIB = 2**20


@dataclass(frozen=True)
class PlannedStage:
    """What one stage will cost: wall-clock seconds, peak resident memory and disk in MiB, samples by kind of pass."""

    name: str
    seconds: float
    peak_mib: float
    disk_mib: float
    trained_samples: int = 0
    forward_samples: int = 0


@dataclass
class Account:
    """Stages in the order in which they run; ledger entries of one kind are summed up (see `folded`)."""

    stages: dict[str, PlannedStage] = field(default_factory=dict)

    def add(self, entry: str, cost: Cost, *, disk_bytes: float = 0.0) -> None:
        """Books a ledger entry."""
        name = folded(entry)
        old = self.stages.get(name, PlannedStage(name, 0.0, 0.0, 0.0))
        self.stages[name] = PlannedStage(
            name,
            old.seconds + cost.seconds,
            max(old.peak_mib, cost.peak_mib),
            old.disk_mib + disk_bytes / _MIB,
            old.trained_samples + cost.trained_samples,
            old.forward_samples + cost.forward_samples,
        )


class PlannedRun(RunFolder):
    """A run folder whose stages cost what they are estimated to, so that arms are charged by the run's own rules."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.account = Account()
        self.notes: dict[str, None] = {}
        self._estimated: dict[str, dict[str, Cost]] = {}

    def book(self, stage: Stage, estimate: Estimate) -> None:
        """Books what a stage will have cost, and what it will have written."""
        self.declare(stage)
        self._estimated[stage.name] = estimate.costs
        self.notes |= dict.fromkeys(estimate.notes)
        for number, (entry, cost) in enumerate(estimate.costs.items()):
            self.account.add(entry, cost, disk_bytes=0.0 if number else estimate.disk_bytes)

    def costs(self, stage: str) -> dict[str, Cost]:
        """What was booked; else what the stage cost that has been done."""
        return self._estimated[stage] if stage in self._estimated else super().costs(stage)


def visits(length: int, epochs: float) -> int:
    """Samples that are trained on in ``epochs`` epochs of ``length`` samples, the last one perhaps in part.

    >>> visits(100, 2.5)
    250
    """
    whole = math.floor(epochs)
    rest = epochs - whole
    return whole * length + (max(1, round(rest * length)) if rest else 0)


def sampled(sampler: EpochSampler, epochs: float, batch_size: int, losses: Tensor) -> tuple[int, int]:
    """Samples that a sampler will train on, and those it will look at before; it is told ``losses`` again and again."""
    trained = looked = 0
    for epoch in range(math.ceil(epochs)):
        sampler.set_epoch(epoch)
        planned = sampler.order[: visits(len(sampler.order), min(1.0, epochs - epoch))]
        if sampler.selects_in_batch:
            trained += sum(sampler.kept_of(len(rows)) for rows in sampler.steps(planned, batch_size))
            looked += len(planned) if sampler.needs_forward else 0
        else:
            trained += len(planned)
            sampler.update(planned, losses[planned % len(losses)])
    return trained, looked
