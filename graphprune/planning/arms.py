"""What the final trainings will cost: every arm, what it is charged for, and what the same cost buys otherwise."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch

from graphprune.config import ArmConfig
from graphprune.config_base import Method
from graphprune.ledger import Cost
from graphprune.planning.account import PlannedRun, sampled, visits
from graphprune.planning.calibrate import Calibration
from graphprune.planning.measured import Measured
from graphprune.planning.passes import reference_key, reference_specs
from graphprune.select.base import count_kept
from graphprune.stages.arms import Arm, ArmResult, baseline_arms, equal_cost_arms, sampled_arm
from graphprune.stages.checks import FROM_RUN, stand_in
from graphprune.stages.job import Job
from graphprune.stages.overhead import sampler_cost, selection_cost
from graphprune.stages.windows import asks_windows, window_stage


def reckon_arms(job: Job, measured: Calibration, run: PlannedRun) -> tuple[list[str], int]:
    """Books every selection and arm of the job; returns what could not be known, and how many arms there are."""
    arms = _Arms(replace(job, run=run), measured, run)
    for arm in baseline_arms(job):
        arms.static(arm)
    for config in job.config.arms:
        if config.sampler is None:
            arms.selected(config)
        else:
            arms.dynamic(config.name, config.sampler, config)
    if job.config.training.sampler is not None:
        arms.dynamic(job.config.training.sampler.name, job.config.training.sampler)
    for arm in equal_cost_arms(job, arms.done):
        arms.static(arm)
    if job.config.training.patience is not None:
        arms.notes.append("training.patience may end arms earlier; they are reckoned to their end")
    return arms.notes, len(arms.done)


def training_cost(job: Job, measured: Measured, samples: int, looked: int = 0) -> Cost:
    """Training on so many samples by the job's paradigm, whose attacks pass forward, too."""
    extra = job.paradigm_for(job.config.training.optimisation()).extra_trained
    forward = looked + round(samples * extra)
    return Cost(measured.seconds_for(samples), measured.peak_mib, samples, forward)


class _Arms:
    def __init__(self, job: Job, measured: Calibration, run: PlannedRun) -> None:
        # Arms are charged by the run's own rules: this job's folder answers with what is planned.
        self.job, self.measured, self.run = job, measured, run
        self.n, self.epochs = len(job.data.train), job.config.training.epochs
        self.done: list[tuple[Arm, ArmResult]] = []
        self.notes: list[str] = []

    def static(self, arm: Arm) -> None:
        """An arm that trains on as many samples in every epoch."""
        assert arm.keep is not None
        self._train(arm, visits(count_kept(self.n, arm.keep), arm.epochs), 0)

    def selected(self, config: ArmConfig) -> None:
        """An arm that trains on what a rule selects."""
        rule, kept = self.measured.methods.rules[config.name], count_kept(self.n, config.keep)
        stage = f"select/{config.name}"
        self.run.book(stage, {stage: rule.cost_for(self.n)}, disk_bytes=12 * kept)
        arm = sampled_arm(self.job, config.name, "random", {"keep": kept / self.n}, self.epochs)
        self.static(replace(arm, overhead=selection_cost(self.job, config)))

    def dynamic(self, name: str, method: Method, config: ArmConfig | None = None) -> None:
        """An arm whose sampler chooses; ``config`` is None for that of ``training.sampler``."""
        uses, looked = set(), Cost()
        for option, part in (("embeddings", "embedding"), ("graph", "graph")):
            if method.options.get(option) == FROM_RUN:
                uses.add(part)
        for spec in reference_specs(method):
            uses |= {"seeds"} if spec == FROM_RUN else set()
            looked = looked + self._reference(spec)
        for option in asks_windows(self.job.data.train, method):
            looked = looked + self._asked(option)
        score = None if config is None else config.score
        overhead = looked + sampler_cost(
            self.job,
            score=score,
            extrapolator="" if config is None else config.extrapolator,
            uses=uses,
            warm=self.job.config.starts_warm(config),
        )
        sampler = stand_in(method, self.n, self.epochs, scored=score is not None)
        batch, losses = self.job.config.training.batch_size, torch.from_numpy(self.measured.passes.losses)
        if sampler.needs_errors:
            trained, seen = visits(self.n, self.epochs), 0
            self.notes.append(f"arm '{name}': its sampler goes by errors; reckoned as visiting every sample")
        else:
            trained, seen = sampled(sampler, self.epochs, batch, losses)
            if sampler.needs_losses:
                self.notes.append(
                    f"arm '{name}': its sampler goes by losses; reckoned with the calibration's"
                )
        self._train(Arm(name, None, self.epochs, lambda _: sampler, None, overhead=overhead), trained, seen)

    def _train(self, arm: Arm, trained: int, looked: int) -> None:
        cost = training_cost(self.job, self.measured.training["arm"], trained, looked)
        cost.seconds += self.measured.passes.forward.seconds_for(looked)
        disk = self.measured.weight_bytes + 1000 + 4 * self.n
        for state in self.job.config.training.random_states:
            stage = f"train/{arm.name}/{state}"
            self.run.book(stage, {stage: cost}, disk_bytes=disk)
        self.done.append((arm, ArmResult((), cost)))

    def _asked(self, option: str) -> Cost:
        """What windows tell a sampler: asked once, and paid for by every arm that uses it."""
        stage, cost = window_stage(option), self.measured.passes.asked[option].cost_for(self.n)
        if not self.run.costs(stage):
            self.run.book(stage, {stage: cost}, disk_bytes=4 * self.n)
        return cost

    def _reference(self, spec: Any) -> Cost:
        """The pass of a reference model: done once, and paid for by every arm that uses it."""
        key = reference_key(spec)
        cost, width = (
            self.measured.passes.references[key].cost_for(self.n),
            self.measured.passes.embeddings.shape[1],
        )
        cost.forward_samples = self.n
        stage = f"reference/{key}"
        if not self.run.costs(stage):
            self.run.book(stage, {stage: cost}, disk_bytes=4 * self.n * (1 + width))
        return cost
