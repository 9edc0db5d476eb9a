"""The training loop.

`train_model` runs epochs (`_train_epoch`) of steps (`_step`). The sampler determines the rows of each step, the
paradigm computes losses, and the recorder turns signals of training batches and evaluation passes into scores.
To add a training feature, start at `_Loop._step`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from graphprune.config.training import OptimizationConfig
from graphprune.data.base import Batch, Samples
from graphprune.embed.module import FeatureTap, evaluation
from graphprune.runtime.cost import Cost, Stopwatch, measure
from graphprune.runtime.devices import indexed, repeatable
from graphprune.runtime.precision import autocast, check_precision
from graphprune.runtime.rng import derive_seed, generator, restored_rng
from graphprune.samplers.base import EpochSampler
from graphprune.scores.group import Observer
from graphprune.train.augment import augment
from graphprune.train.checkpoint import Checkpoint
from graphprune.train.evaluate import evaluate_model, record_evaluation
from graphprune.train.global_batch import GlobalBatch
from graphprune.train.optimizer import has_stalled
from graphprune.train.paradigms.base import Paradigm
from graphprune.train.process_group import ProcessGroup, check_whole, least_batch, least_rows
from graphprune.train.resume import check_state, refuse_other_place, resume
from graphprune.train.stepper import Stepper
from graphprune.train.tracking import Meter, Tracker

__all__ = ["evaluate_model", "train_model"]
Progress = Callable[[float, str], None]


@dataclass
class TrainResult:
    """Cost, losses and visits of a training run.

    Attributes:
        cost: Cost of training, without evaluation passes.
        evaluation_cost: Cost of the recorder's evaluation passes.
        losses: Mean loss of each epoch.
        visits: How often each sample was trained on, ``[N]`` int32; the sum is ``cost.trained_samples``.
    """

    cost: Cost = field(default_factory=Cost)
    evaluation_cost: Cost = field(default_factory=Cost)
    losses: list[float] = field(default_factory=list)
    visits: Tensor = field(default_factory=lambda: torch.zeros(0, dtype=torch.int32))


def train_model(
    model: nn.Module,
    samples: Samples,
    paradigm: Paradigm,
    sampler: EpochSampler,
    settings: OptimizationConfig,
    *,
    seed: int,
    device: torch.device,
    recorder: Observer | None = None,
    checkpoint: Checkpoint | None = None,
    progress: Progress | None = None,
    tracker: Tracker | None = None,
    until: int | None = None,
) -> TrainResult:
    """Trains ``model`` in place for ``settings.epochs`` epochs of ``sampler``; a fraction of an epoch is possible.

    The random numbers of step t depend on (seed, t) only, so a run resumed from ``checkpoint`` equals an
    uninterrupted one. The recorder receives the signals of training batches and, if a score requires it, those of
    one unaugmented evaluation pass over its samples after each complete epoch.

    If several processes were started (torchrun, ``accelerate launch``; see `graphprune.train.process_group`), the
    samples of each batch are assigned to ranks round-robin. Orders, choices, scores and gradients equal those of
    one process up to rounding. This does not hold for what a layer computes over its part of a batch: batch norm's
    statistics (synchronized on CUDA, separate in each process on CPUs) and dropout masks. Only the first process
    writes checkpoints.

    Args:
        model: The model; it is moved to ``device``.
        samples: Training data; the sampler's rows are positions in it.
        paradigm: Losses, signals and metric.
        sampler: Determines the rows of each epoch; it must not be sharded.
        settings: Epochs, batch size, optimizer, precision and so on.
        seed: Seed of all random draws.
        device: Device of the training.
        recorder: Computes scores during the run; it must be the same in all processes.
        checkpoint: Saves the state from time to time; a saved state is resumed.
        progress: Called after each step with the fraction done and a note on the speed.
        tracker: Receives each epoch's loss, learning rate, speed and kept fraction.
        until: Stop after this many complete epochs (a truncated run of ``settings.epochs`` planned epochs).

    Raises:
        InputError: a precision, optimizer or sampler does not fit the model or device.
    """
    device = indexed(device)
    check_precision(device, settings.precision)
    check_whole(sampler)
    loop = _Loop(
        model=model,
        samples=samples,
        paradigm=paradigm,
        sampler=sampler,
        settings=settings,
        seed=seed,
        device=device,
        recorder=recorder,
        checkpoint=checkpoint,
        progress=progress,
        tracker=tracker,
        until=settings.epochs if until is None else min(until, settings.epochs),
    )
    return loop.run()


@dataclass(eq=False, kw_only=True)
class _Loop:
    """The state of one call of `train_model`, and its steps."""

    model: nn.Module
    samples: Samples
    paradigm: Paradigm
    sampler: EpochSampler
    settings: OptimizationConfig
    seed: int
    device: torch.device
    recorder: Observer | None
    checkpoint: Checkpoint | None
    progress: Progress | None
    tracker: Tracker | None
    until: float

    def __post_init__(self) -> None:
        model, device = self.model, self.device
        self.group = ProcessGroup.current()
        # Convolutions are faster with the channels-last layout, on CPUs and on tensor cores.
        self.channels_last = any(isinstance(module, nn.Conv2d) for module in model.modules())
        if self.channels_last:
            model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.group.size > 1 and device.type == "cuda":
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        self.bare = model.to(device)
        self.model = self.group.wrapped(self.bare)
        self.forward: nn.Module = self.model
        self.least = least_batch(self.bare, self.group)
        if self.settings.compile:
            self.forward = torch.compile(self.model)  # type: ignore[assignment]
        needs = self.recorder.needs("train") if self.recorder else frozenset()
        wanted = "features" in needs or self.sampler.needs_features
        self.tap = FeatureTap(self.model) if wanted else None
        self.stepper = Stepper(self.bare, self.settings, device)
        self.ids = torch.from_numpy(self.samples.ids).to(device)
        self.visits = torch.zeros(len(self.samples), dtype=torch.int32, device=device)
        self.once = torch.ones((), dtype=torch.int32, device=device)
        self.result = TrainResult(visits=self.visits)
        self.epoch = 0
        self.step_in_epoch = 0
        self.loss_sum = torch.zeros((), device=device)
        self.meter = Meter(len(self.samples))

    def run(self) -> TrainResult:
        """Trains from the state of the checkpoint, if there is one, to the end of the last requested epoch."""
        self._resume()
        self.model.train()
        self.meter.start(self.result.cost)
        try:
            restored = restored_rng([self.device] if self.device.type == "cuda" else [])
            with restored, repeatable(self.device):
                while self.epoch < self.until and not self._has_stalled():
                    with measure(self.result.cost) as watch:
                        self._train_epoch(watch)
                    self._track()
                    self._record_evaluation()
                    self.epoch, self.step_in_epoch = self.epoch + 1, 0
                    self._save_if_due()
        finally:
            if self.tap:
                self.tap.detach()
        self.stepper.keep_average()
        self.group.broadcast_buffers(self.bare)
        return self.result

    def _has_stalled(self) -> bool:
        patience = None if self.recorder else self.settings.patience
        return has_stalled(self.result.losses, patience, self.settings.min_improvement)

    def _train_epoch(self, watch: Stopwatch) -> None:
        """Trains the remaining steps of the current epoch.

        An optimizer step accumulates the gradients of ``settings.accumulate`` batches.
        """
        if self.step_in_epoch == 0:
            self.sampler.set_epoch(self.epoch)
            self.loss_sum.zero_()
        share, steps = min(1.0, self.settings.epochs - self.epoch), self._steps()
        left, accumulate = steps[self.step_in_epoch :], self.settings.accumulate
        for whole, batch in zip(left, self._batches(left), strict=True):
            first = self.step_in_epoch // accumulate * accumulate
            together = steps[first : first + accumulate]
            if self.step_in_epoch == first:
                # Progress counts optimizer steps: the learning rate is constant within one.
                done = len(range(0, first, accumulate)) / len(range(0, len(steps), accumulate))
                self.stepper.start((self.epoch + share * done) / self.settings.epochs)
            self._step(whole, batch, len(whole) / sum(len(rows) for rows in together))
            self.step_in_epoch += 1
            if self.step_in_epoch == first + len(together):
                self.stepper.finish()
                if self.step_in_epoch < len(steps) and self.checkpoint and self.checkpoint.due:
                    watch.lap()
                    self._save_if_due()
            self._report((self.epoch + share * self.step_in_epoch / len(steps)) / self.settings.epochs)
        # With one process, this is the only host synchronization of an epoch.
        self.result.losses.append(float(self.loss_sum) / len(steps))

    def _steps(self) -> tuple[Tensor, ...]:
        """The rows of every step of the epoch; if training ends inside this epoch, only the first part of its order."""
        order = self.sampler.order
        share = min(1.0, self.settings.epochs - self.epoch)
        least = least_rows(self.bare, self.sampler, order, self.least)
        planned = order[: max(least, round(share * len(order)))]
        return self.sampler.steps(planned, self.settings.batch_size, least=self.least)

    def _batches(self, steps: tuple[Tensor, ...]) -> Iterator[Batch]:
        mine = (rows if self.group.size == 1 else rows[self.group.positions(len(rows))] for rows in steps)
        return self.samples.batches(mine, device=self.device, workers=self.settings.workers)

    def _step(self, rows: Tensor, part: Batch, share: float) -> None:
        """Computes the gradient of one batch and adds it to the current optimizer step.

        Args:
            rows: Rows of the batch in all processes ``[T]`` int64.
            part: This process's samples of the batch; with one process, all of them.
            share: The batch's fraction of the samples of the optimizer step (1 without accumulation).
        """
        batch = GlobalBatch(rows, part, self.group)
        self._prepare(batch)
        # Some samplers select samples within each batch; only these are trained on.
        if self.sampler.selects_in_batch:
            batch.keep(self._choose(batch), least=min(2, self.least))
        # Forward pass: the paradigm computes outputs (for example on attacked inputs) and per-sample losses.
        noise = batch.noise(self._draws("paradigm")) if self.paradigm.draws else None
        with autocast(self.device, self.settings.precision):
            outputs = self.paradigm.outputs(self.forward, batch.x, batch.y, noise)
        losses = self.paradigm.losses(outputs, batch.y)
        # Backward pass: samplers may weight samples, for example to correct for pruned ones.
        loss = batch.mean(losses, self.sampler.weights(batch.own_rows))
        self.stepper.backward(loss, share)
        # Statistics of the run, and signals for the recorder (scores) and the sampler.
        self._count(batch, loss.detach())
        self._observe(batch, outputs, losses)

    def _prepare(self, batch: GlobalBatch) -> None:
        """Seeds the step's dropout, augments images, and converts them to the layout that convolutions prefer."""
        rank = (self.group.rank,) if self.group.rank else ()
        torch.manual_seed(derive_seed(self.seed, "step", self.epoch, self.step_in_epoch, *rank))
        if self.settings.augment:
            batch.x = augment(
                batch.x,
                self.settings.augment,
                self._draws("augment"),
                cutout=self.settings.cutout,
                part=None if self.group.size == 1 else (batch.positions, len(batch)),
            )
        if self.channels_last and batch.x.dim() == 4:
            batch.x = batch.x.contiguous(memory_format=torch.channels_last)

    def _draws(self, purpose: str) -> torch.Generator:
        """A generator whose numbers depend on the seed, the purpose and the step only."""
        return generator(self.seed, purpose, self.epoch, self.step_in_epoch)

    def _choose(self, batch: GlobalBatch) -> Tensor:
        """Positions of the global batch to train on, the same in every process."""
        if not self.sampler.needs_forward:
            return self.sampler.choose(batch.rows)
        # Evaluation mode, because this pass must not change the running statistics of batch norm.
        with evaluation(self.model), autocast(self.device, self.settings.precision):
            outputs = self.forward(batch.x)
            # Training losses may use label smoothing; samplers always receive the losses without it.
            losses = self.paradigm.signals(outputs, batch.y, self.paradigm.losses(outputs, batch.y))["loss"]
        self.result.cost.forward_samples += len(batch)
        features = batch.gather(self.tap.features) if self.tap else None
        return self.sampler.choose(batch.rows, batch.gather(losses), features)

    def _count(self, batch: GlobalBatch, loss: Tensor) -> None:
        """Adds the batch to the epoch's loss, the visits and the cost."""
        trained = batch.trained_rows
        self.loss_sum += self.group.average(loss)
        self.visits.index_add_(0, trained, self.once.expand(len(trained)))
        self.result.cost.trained_samples += len(trained)
        self.result.cost.forward_samples += round(len(trained) * self.paradigm.extra_trained)

    def _observe(self, batch: GlobalBatch, outputs: Tensor, losses: Tensor) -> None:
        """Sends the signals of the batch, gathered from all processes, to the recorder and the sampler."""
        recorder = self.recorder if self.recorder and "train" in self.recorder.phases else None
        updates_sampler = self.sampler.needs_losses or self.sampler.needs_errors
        if recorder is None and not updates_sampler:
            return
        signals = self.paradigm.signals(outputs, batch.y, losses)
        if self.tap and recorder:
            signals["features"] = self.paradigm.features(self.tap.features, len(batch.y))
        signals = batch.gather_all(signals)
        if recorder:
            recorder.observe("train", self.ids[batch.trained_rows], self.epoch, **signals)
        if updates_sampler:
            self.sampler.update(batch.trained_rows, signals["loss"], signals.get("errors"))

    def _record_evaluation(self) -> None:
        """Makes the recorder's evaluation pass, if it requires one after this epoch; incomplete epochs have none."""
        complete = self.epoch + 1 <= self.settings.epochs
        if not (self.recorder and complete and self.recorder.evaluates(self.epoch)):
            return
        with measure(self.result.evaluation_cost), self.stepper.averaged():
            self.result.evaluation_cost.forward_samples += record_evaluation(
                self.model,
                self.samples,
                self.paradigm,
                self.recorder,
                self.epoch,
                self.settings,
                seed=self.seed,
            )

    def _report(self, fraction: float) -> None:
        """Reports progress after a step."""
        if self.progress:
            kept = self.sampler.batch_keep * len(self.sampler.order) / len(self.samples)
            self.progress(min(1.0, fraction), self.meter.note(self.result.cost, kept))

    def _track(self) -> None:
        """Logs the figures of the epoch."""
        values = self.meter.epoch(self.result.cost)
        if self.tracker and self.group.writes:
            self.tracker.log(self.epoch, {"loss": self.result.losses[-1], "lr": self.stepper.rate, **values})

    def _save_if_due(self) -> None:
        if self.checkpoint is not None and self.group.writes and self.checkpoint.due:
            self.checkpoint.save(self._state())

    def _state(self) -> dict[str, Any]:
        """Everything that a checkpoint contains."""
        return {
            "epoch": self.epoch,
            "step_in_epoch": self.step_in_epoch,
            "model": self.bare.state_dict(),
            "stepper": self.stepper.state_dict(),
            "sampler": self.sampler.state_dict(),
            "recorder": self.recorder.state_dict() if self.recorder else {},
            "loss_sum": self.loss_sum,
            "visits": self.visits,
            "losses": self.result.losses,
            "cost": self.result.cost.to_dict(),
            "evaluation_cost": self.result.evaluation_cost.to_dict(),
        }

    def _resume(self) -> None:
        """Continues from the checkpoint, if there is one that fits this training."""
        if self.checkpoint is None:
            return
        resume(
            self.checkpoint,
            self.group,
            self.device,
            live=self._state,
            check=lambda saved, live: check_state(saved, live, self.stepper.optimizers, self.until),
            apply=self._load,
            check_place=lambda: refuse_other_place(
                self.sampler, self.epoch, self.step_in_epoch, self._steps, accumulate=self.settings.accumulate
            ),
        )

    def _load(self, state: dict[str, Any]) -> None:
        """Restores a state that `_state` returned."""
        self.epoch, self.step_in_epoch = state["epoch"], state["step_in_epoch"]
        self.sampler.load_state_dict(state["sampler"])
        self.bare.load_state_dict(state["model"])
        self.stepper.load_state_dict(state["stepper"])
        if self.recorder:
            self.recorder.load_state_dict(state["recorder"])
        self.loss_sum.copy_(state["loss_sum"])
        self.visits.copy_(state["visits"])
        costs = Cost(**state["cost"]), Cost(**state["evaluation_cost"])
        self.result = TrainResult(*costs, state["losses"], self.visits)
