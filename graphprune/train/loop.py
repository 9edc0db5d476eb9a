"""The training loop: one readable loop that samplers steer and scores watch."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from graphprune.config_training import OptimisationConfig
from graphprune.data.base import Batch, Samples
from graphprune.devices import indexed, repeatable
from graphprune.embed.module import FeatureTap, evaluation
from graphprune.ledger import Cost, Stopwatch, measure
from graphprune.rng import derive_seed, generator, restored_rng
from graphprune.samplers.base import EpochSampler
from graphprune.scores.group import Observer
from graphprune.train.augment import augment
from graphprune.train.checkpoint import Checkpoint
from graphprune.train.evaluate import evaluate_model, gather_signals, record_evaluation
from graphprune.train.optimizer import has_stalled
from graphprune.train.paradigms.base import Noise, Paradigm
from graphprune.train.precision import autocast, check_precision
from graphprune.train.ranks import Ranks, check_whole, least_batch, least_rows
from graphprune.train.resume import check_state, refuse_other_place, resume
from graphprune.train.stepper import Stepper
from graphprune.train.tracking import Meter, Tracker

__all__ = ["evaluate_model", "train_model"]
Progress = Callable[[float, str], None]
Seen = tuple[Tensor, Tensor, Tensor]  # outputs, targets and losses of a batch


@dataclass
class TrainResult:
    """What a run cost, split into training and the recorder's evaluation passes, and its mean loss by epoch.

    ``visits [N]`` int32 is how often each sample was trained on; its sum is ``cost.trained_samples``.
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
    settings: OptimisationConfig,
    *,
    seed: int,
    device: torch.device,
    recorder: Observer | None = None,
    checkpoint: Checkpoint | None = None,
    progress: Progress | None = None,
    tracker: Tracker | None = None,
    until: int | None = None,
) -> TrainResult:
    """Trains ``model`` in place for ``settings.epochs`` epochs of ``sampler`` (a fraction ends inside the last one).

    The randomness of step t depends on (seed, t) alone, so that a run resumed from ``checkpoint`` equals an
    uninterrupted one. The recorder sees training batches online, and after each whole epoch one
    un-augmented evaluation pass over its own samples if a score asks for that.

    Started in several processes (torchrun, ``accelerate launch``; see `graphprune.train.ranks`), each
    step's batch is dealt out to them; orders, choices, scores and gradients are those of one process, up to
    rounding. Not so what a layer computes over its part of a batch: batch norm's statistics (synchronised on
    CUDA, each process's own on CPUs) and dropout masks. Only the first process writes checkpoints.

    Args:
        model: Moved to ``device``.
        samples: Training data; the sampler's rows are its positions.
        paradigm: Losses, signals and metric.
        sampler: Which rows are trained on, not sharded.
        settings: Lengths, optimizer, precision and the like.
        seed: Of everything that is drawn here.
        device: Where to train.
        recorder: Streams the run into scores; it must be the same in all processes.
        checkpoint: Where the state is saved now and then, and looked for.
        progress: Called after each step with the fraction done and a note on the speed.
        tracker: Is told each epoch's loss, learning rate, speed and kept share.
        until: Stop after so many whole epochs of the planned ones (the beginning of a longer run).

    Raises:
        InputError: a precision, optimizer or sampler that does not fit.
    """
    device = indexed(device)
    check_precision(device, settings.precision)
    check_whole(sampler)
    loop = _Loop(
        model,
        samples,
        paradigm,
        sampler,
        settings,
        seed,
        device,
        recorder,
        checkpoint,
        progress,
        tracker,
        settings.epochs if until is None else min(until, settings.epochs),
    )
    return loop.run()


@dataclass(eq=False)
class _Loop:
    model: nn.Module
    samples: Samples
    paradigm: Paradigm
    sampler: EpochSampler
    settings: OptimisationConfig
    seed: int
    device: torch.device
    recorder: Observer | None
    checkpoint: Checkpoint | None
    progress: Progress | None
    tracker: Tracker | None
    until: float

    def __post_init__(self) -> None:
        model, device = self.model, self.device
        self.ranks = Ranks.current()
        # Convolutions are faster on channels that lie side by side, on CPUs and on tensor cores.
        self.channels_last = any(isinstance(module, nn.Conv2d) for module in model.modules())
        if self.channels_last:
            model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if self.ranks.size > 1 and device.type == "cuda":
            model = nn.SyncBatchNorm.convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
        self.bare = model.to(device)
        self.model = self.ranks.wrapped(self.bare)
        self.forward: nn.Module = self.model
        self.least = least_batch(self.bare, self.ranks)
        if self.settings.compile:
            self.forward = torch.compile(self.model)  # type: ignore[assignment]
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
        """Trains from where the checkpoint stands to the end of the last wanted epoch."""
        self._resume()
        needs = self.recorder.needs("train") if self.recorder else frozenset()
        wants_features = "features" in needs or self.sampler.needs_features
        tap = FeatureTap(self.model) if wants_features else None
        self.model.train()
        self.meter.start(self.result.cost)
        try:
            restored = restored_rng([self.device] if self.device.type == "cuda" else [])
            with restored, repeatable(self.device):
                while self.epoch < self.until and not self._has_stalled():
                    with measure(self.result.cost) as watch:
                        self._train_epoch(tap, watch)
                    self._track()
                    self._record_evaluation()
                    self.epoch, self.step_in_epoch = self.epoch + 1, 0
                    self._save_if_due()
        finally:
            if tap:
                tap.detach()
        self.stepper.conclude()
        self.ranks.agree(self.bare)
        return self.result

    def _has_stalled(self) -> bool:
        patience = None if self.recorder else self.settings.patience
        return has_stalled(self.result.losses, patience, self.settings.min_improvement)

    def _train_epoch(self, tap: FeatureTap | None, watch: Stopwatch) -> None:
        if self.step_in_epoch == 0:
            self.sampler.set_epoch(self.epoch)
            self.loss_sum.zero_()
        share, steps = min(1.0, self.settings.epochs - self.epoch), self._steps()
        left, accumulate = steps[self.step_in_epoch :], self.settings.accumulate
        for whole, batch in zip(left, self._batches(left), strict=True):
            group = self.step_in_epoch // accumulate * accumulate
            together = steps[group : group + accumulate]
            if self.step_in_epoch == group:
                done = len(range(0, group, accumulate)) / len(range(0, len(steps), accumulate))
                self.stepper.begin((self.epoch + share * done) / self.settings.epochs)
            part = len(whole) / sum(len(rows) for rows in together)
            self._step(whole, batch, tap, part)
            self.step_in_epoch += 1
            if self.step_in_epoch == group + len(together):
                self.stepper.finish()
                if self.step_in_epoch < len(steps) and self.checkpoint and self.checkpoint.due:
                    watch.lap()
                    self._save_if_due()
            self._report((self.epoch + share * self.step_in_epoch / len(steps)) / self.settings.epochs)
        # In one process the one host synchronisation of an epoch.
        self.result.losses.append(float(self.loss_sum) / len(steps))

    def _steps(self) -> tuple[Tensor, ...]:
        """The rows of every step of the epoch."""
        order = self.sampler.order
        share = min(1.0, self.settings.epochs - self.epoch)
        least = least_rows(self.bare, self.sampler, order, self.least)
        planned = order[: max(least, round(share * len(order)))]
        return self.sampler.steps(planned, self.settings.batch_size, least=self.least)

    def _batches(self, steps: tuple[Tensor, ...]) -> Iterator[Batch]:
        mine = (rows if self.ranks.size == 1 else rows[self.ranks.positions(len(rows))] for rows in steps)
        return self.samples.batches(mine, device=self.device, workers=self.settings.workers)

    def _step(self, whole: Tensor, batch: Batch, tap: FeatureTap | None, part: float) -> None:
        """Adds the gradient of one batch, ``part`` of those that the optimizer takes together."""
        settings, ranks, total = self.settings, self.ranks, len(whole)
        moment = (self.epoch, self.step_in_epoch, *((ranks.rank,) if ranks.rank else ()))
        torch.manual_seed(derive_seed(self.seed, "step", *moment))
        rows, x, y = batch
        everyone = rows if ranks.size == 1 else whole.to(self.device, non_blocking=True)
        if settings.augment:
            draws = generator(self.seed, "augment", self.epoch, self.step_in_epoch)
            mine = None if ranks.size == 1 else (ranks.positions(total), total)
            x = augment(x, settings.augment, draws, cutout=settings.cutout, part=mine)
        if self.channels_last and x.dim() == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        kept, held, real, trained = None, None, ranks.real(total), total
        if self.sampler.chooses:
            kept = self._choose(everyone, x, y, tap)
            held, real = ranks.held(kept, least=min(2, self.least))
            rows, x, y, trained = rows[held], x[held], y[held], len(kept)
        with autocast(self.device, settings.precision):
            outputs = self.paradigm.outputs(self.forward, x, y, self._noise(total, held))
        losses = self.paradigm.losses(outputs, y)
        weights = self.sampler.weights(rows)
        loss = ranks.mean(losses if weights is None else losses * weights, real, trained)
        self.stepper.add(loss, part)
        self.loss_sum += ranks.average(loss.detach())
        visited = everyone if kept is None else everyone[kept]
        self.visits.index_add_(0, visited, self.once.expand(trained))
        self.result.cost.trained_samples += trained
        self.result.cost.forward_samples += round(trained * self.paradigm.extra_trained)
        self._tell(everyone, kept, (outputs, y, losses), tap)

    def _noise(self, total: int, held: Tensor | None) -> Noise | None:
        """What the paradigm draws for this process's part of a batch, or for what it ``held`` of that part."""
        if not self.paradigm.draws:
            return None
        places = self.ranks.positions(total)
        if held is not None:
            places = places.to(held.device, non_blocking=True)[held]
        return Noise(generator(self.seed, "paradigm", self.epoch, self.step_in_epoch), places, total)

    def _choose(self, everyone: Tensor, x: Tensor, y: Tensor, tap: FeatureTap | None) -> Tensor:
        """Positions of the whole batch to train on, the same in every process."""
        if not self.sampler.needs_forward:
            return self.sampler.choose(everyone)
        # Evaluation mode: the look at a batch must not move the running statistics of batch norm.
        with evaluation(self.model), autocast(self.device, self.settings.precision):
            outputs = self.forward(x)
            # Training losses may be smoothed; samplers hear the plain ones, as they do after a step.
            losses = self.paradigm.signals(outputs, y, self.paradigm.losses(outputs, y))["loss"]
        self.result.cost.forward_samples += len(everyone)
        features = self.ranks.gather(tap.features, len(everyone)) if tap else None
        return self.sampler.choose(everyone, self.ranks.gather(losses, len(everyone)), features)

    def _tell(self, everyone: Tensor, kept: Tensor | None, seen: Seen, tap: FeatureTap | None) -> None:
        watched = self.recorder is not None and "train" in self.recorder.phases
        listens = self.sampler.needs_losses or self.sampler.needs_errors
        if not (watched or listens):
            return
        signals = self.paradigm.signals(*seen)
        if tap and watched:
            signals["features"] = self.paradigm.features(tap.features, len(seen[1]))
        signals = gather_signals(signals, self.ranks, len(everyone), kept)
        rows = everyone if kept is None else everyone[kept]
        if self.recorder is not None and watched:
            self.recorder.observe("train", self.ids[rows], self.epoch, **signals)
        if listens:
            self.sampler.update(rows, signals["loss"], signals.get("errors"))

    def _record_evaluation(self) -> None:
        whole = self.epoch + 1 <= self.settings.epochs
        if not (self.recorder and whole and self.recorder.evaluates(self.epoch)):
            return
        with measure(self.result.evaluation_cost), self.stepper.judged():
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
        if self.progress:
            share = self.sampler.chosen_share * len(self.sampler.order) / len(self.samples)
            self.progress(min(1.0, fraction), self.meter.note(self.result.cost, share))

    def _track(self) -> None:
        values = self.meter.epoch(self.result.cost)
        if self.tracker and self.ranks.writes:
            self.tracker.log(self.epoch, {"loss": self.result.losses[-1], "lr": self.stepper.rate, **values})

    def _save_if_due(self) -> None:
        if self.checkpoint is not None and self.ranks.writes and self.checkpoint.due:
            self.checkpoint.save(self._state())

    def _state(self) -> dict[str, Any]:
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
        if self.checkpoint is None:
            return
        resume(
            self.checkpoint,
            self.ranks,
            self.device,
            live=self._state,
            check=lambda saved, live: check_state(saved, live, self.stepper.optimizers, self.until),
            apply=self._apply,
            check_place=lambda: refuse_other_place(
                self.sampler, self.epoch, self.step_in_epoch, self._steps, accumulate=self.settings.accumulate
            ),
        )

    def _apply(self, state: dict[str, Any]) -> None:
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
