"""The ledger of a plan: entries named as in a run, and their summary by stage."""

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
    """Estimated cost of one stage: wall-clock seconds, peak resident memory, disk space, samples by kind of pass."""

    name: str
    seconds: float
    peak_mib: float
    disk_mib: float
    trained_samples: int = 0
    forward_samples: int = 0


@dataclass
class Account:
    """Stages in the order in which they run; ledger entries of one kind are added up (see `folded`)."""

    stages: dict[str, PlannedStage] = field(default_factory=dict)

    def add(self, entry: str, cost: Cost, *, disk_bytes: float = 0.0) -> None:
        """Add a ledger entry."""
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
    """A run folder that holds estimates in place of costs, so that the rules of a run compute the cost of an arm."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.account = Account()
        self.notes: dict[str, None] = {}
        self._estimated: dict[str, dict[str, Cost]] = {}

    def book(self, stage: Stage, estimate: Estimate) -> None:
        """Record the estimated cost and disk space of a stage."""
        self.declare(stage)
        self._estimated[stage.name] = estimate.costs
        self.notes |= dict.fromkeys(estimate.notes)
        for number, (entry, cost) in enumerate(estimate.costs.items()):
            self.account.add(entry, cost, disk_bytes=0.0 if number else estimate.disk_bytes)

    def costs(self, stage: str) -> dict[str, Cost]:
        """Return the estimated costs; for a stage that was run, the measured ones."""
        return self._estimated[stage] if stage in self._estimated else super().costs(stage)


def visits(length: int, epochs: float) -> int:
    """Return the number of samples trained in ``epochs`` epochs of ``length`` samples; the last may be partial.

    >>> visits(100, 2.5)
    250
    """
    whole = math.floor(epochs)
    rest = epochs - whole
    return whole * length + (max(1, round(rest * length)) if rest else 0)


def sampled(sampler: EpochSampler, epochs: float, batch_size: int, losses: Tensor) -> tuple[int, int]:
    """Count the samples that a sampler trains on and those that it scores before, with ``losses`` in a cycle."""
    trained = scored = 0
    for epoch in range(math.ceil(epochs)):
        sampler.set_epoch(epoch)
        planned = sampler.order[: visits(len(sampler.order), min(1.0, epochs - epoch))]
        if sampler.selects_in_batch:
            trained += sum(sampler.kept_of(len(rows)) for rows in sampler.steps(planned, batch_size))
            scored += len(planned) if sampler.needs_forward else 0
        else:
            trained += len(planned)
            sampler.update(planned, losses[planned % len(losses)])
    return trained, scored
