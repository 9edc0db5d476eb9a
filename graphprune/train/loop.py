"""The training loop: one readable loop that samplers steer and scores watch."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from graphprune.config import OptimisationConfig
from graphprune.data.base import Batch, Samples
from graphprune.embed.module import FeatureTap, evaluation
from graphprune.ledger import Cost, Stopwatch, measure
from graphprune.rng import derive_seed, generator
from graphprune.samplers.base import EpochSampler
from graphprune.scores.recorder import Recorder
from graphprune.train.augment import augment
from graphprune.train.checkpoint import Checkpoint
from graphprune.train.paradigms.base import Paradigm
from graphprune.train.precision import autocast

Progress = Callable[[float], None]
EVAL_BATCH = 512


@dataclass
class TrainResult:
    """What a run cost, split into training and the recorder's evaluation passes, and its mean loss by epoch."""

    cost: Cost = field(default_factory=Cost)
    evaluation_cost: Cost = field(default_factory=Cost)
    losses: list[float] = field(default_factory=list)


def learning_rate(schedule: str, progress: float, *, warmup: float = 0.2) -> float:
    """Factor of the peak learning rate at ``progress`` in [0, 1] of the planned epochs.

    Progress counts epochs and not steps, so a schedule ends where it should however long its epochs become.
    ``onecycle``: cosine from 1/25 up over the first fifth and down to 1e-4; ``cosine``: from 1 to 0; ``constant``.
    """
    if schedule == "constant":
        return 1.0
    if schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * progress))
    if progress < warmup:
        return 1 + (0.04 - 1) * 0.5 * (1 + math.cos(math.pi * progress / warmup))
    return 1e-4 + (1 - 1e-4) * 0.5 * (1 + math.cos(math.pi * (progress - warmup) / (1 - warmup)))


def make_optimizer(model: nn.Module, settings: OptimisationConfig) -> torch.optim.Optimizer:
    """The optimizer of the settings over all parameters that learn."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    if settings.optimizer == "sgd":
        nesterov = settings.momentum > 0
        return torch.optim.SGD(
            parameters, settings.lr, settings.momentum, weight_decay=settings.weight_decay, nesterov=nesterov
        )
    kind = torch.optim.Adam if settings.optimizer == "adam" else torch.optim.AdamW
    return kind(parameters, settings.lr, weight_decay=settings.weight_decay)


def train_model(
    model: nn.Module,
    samples: Samples,
    paradigm: Paradigm,
    sampler: EpochSampler,
    settings: OptimisationConfig,
    *,
    seed: int,
    device: torch.device,
    recorder: Recorder | None = None,
    checkpoint: Checkpoint | None = None,
    progress: Progress | None = None,
) -> TrainResult:
    """Trains ``model`` in place for ``settings.epochs`` epochs of ``sampler`` (a fraction ends inside the last one).

    The randomness of step t depends on (seed, t) alone, so that a run resumed from ``checkpoint`` equals an
    uninterrupted one. The recorder sees training batches online, and after each whole epoch one
    un-augmented evaluation pass over its own samples if a score asks for that.
    """
    loop = _Loop(model, samples, paradigm, sampler, settings, seed, device, recorder, checkpoint, progress)
    return loop.run()


def evaluate_model(
    model: nn.Module,
    samples: Samples,
    paradigm: Paradigm,
    *,
    device: torch.device,
    precision: str = "float32",
) -> float:
    """The paradigm's metric over all samples."""
    total = torch.zeros(2, dtype=torch.float64, device=device)
    with evaluation(model):
        for batch in samples.batches(torch.split(torch.arange(len(samples)), EVAL_BATCH), device=device):
            with autocast(device, precision):
                outputs = model(batch.x)
            total += paradigm.tally(outputs.float(), batch.y)
    return float(total[0] / total[1])


class _Loop:
    def __init__(
        self,
        model: nn.Module,
        samples: Samples,
        paradigm: Paradigm,
        sampler: EpochSampler,
        settings: OptimisationConfig,
        seed: int,
        device: torch.device,
        recorder: Recorder | None,
        checkpoint: Checkpoint | None,
        progress: Progress | None,
    ) -> None:
        from accelerate import Accelerator

        self.accelerator = Accelerator(cpu=device.type == "cpu", device_placement=False)
        self.device, self.seed = device, seed
        # Convolutions are faster on channels that lie side by side, on CPUs and on tensor cores.
        self.channels_last = any(isinstance(module, nn.Conv2d) for module in model.modules())
        if self.channels_last:
            model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.model = self.accelerator.prepare_model(model.to(device))
        self.optimizer = make_optimizer(self.model, settings)
        self.samples, self.paradigm, self.sampler, self.settings = samples, paradigm, sampler, settings
        self.recorder, self.checkpoint, self.progress = recorder, checkpoint, progress
        self.ids = torch.from_numpy(samples.ids).to(device)
        self.result = TrainResult()
        self.epoch = 0
        self.step_in_epoch = 0
        self.loss_sum = torch.zeros((), device=device)

    def run(self) -> TrainResult:
        self._resume()
        needs = self.recorder.needs("train") if self.recorder else frozenset()
        wants_features = "features" in needs or self.sampler.needs_features
        tap = FeatureTap(self.model) if wants_features else None
        self.model.train()
        try:
            with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
                while self.epoch < self.settings.epochs:
                    with measure(self.result.cost) as watch:
                        self._train_epoch(tap, watch)
                    whole = self.epoch + 1 <= self.settings.epochs
                    if self.recorder and whole and self.recorder.evaluates(self.epoch):
                        with measure(self.result.evaluation_cost):
                            self._record_evaluation(self.recorder)
                    self.epoch, self.step_in_epoch = self.epoch + 1, 0
                    self._save_if_due()
        finally:
            if tap:
                tap.detach()
        return self.result

    def _train_epoch(self, tap: FeatureTap | None, watch: Stopwatch) -> None:
        if self.step_in_epoch == 0:
            self.sampler.set_epoch(self.epoch)
            self.loss_sum.zero_()
        order = self.sampler.order
        share = min(1.0, self.settings.epochs - self.epoch)
        planned = order[: max(1, round(share * len(order)))]
        steps = torch.split(planned, self.sampler.meta_batch(self.settings.batch_size))
        for batch in self._batches(steps[self.step_in_epoch :]):
            done = self.epoch + share * self.step_in_epoch / len(steps)
            self._step(batch, min(1.0, done / self.settings.epochs), tap)
            self.step_in_epoch += 1
            if self.progress:
                self.progress(
                    min(1.0, (self.epoch + share * self.step_in_epoch / len(steps)) / self.settings.epochs)
                )
            if self.step_in_epoch < len(steps) and self.checkpoint and self.checkpoint.due:
                watch.lap()
                self._save_if_due()
        # The one host synchronisation of an epoch.
        self.result.losses.append(float(self.loss_sum) / len(steps))

    def _batches(self, steps: tuple[Tensor, ...]) -> Iterator[Batch]:
        return self.samples.batches(iter(steps), device=self.device, workers=self.settings.workers)

    def _step(self, batch: Batch, progress: float, tap: FeatureTap | None) -> None:
        settings = self.settings
        torch.manual_seed(derive_seed(self.seed, "step", self.epoch, self.step_in_epoch))
        rows, x, y = batch
        if settings.augment:
            draws = generator(self.seed, "augment", self.epoch, self.step_in_epoch)
            x = augment(x, settings.augment, draws)
        if self.channels_last:
            x = x.contiguous(memory_format=torch.channels_last)
        if self.sampler.chooses:
            kept = self._choose(rows, x, y, tap)
            rows, x, y = rows[kept], x[kept], y[kept]
        rate = settings.lr * learning_rate(settings.schedule, progress)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        with autocast(self.device, settings.precision):
            outputs = self.model(x)
        losses = self.paradigm.losses(outputs, y)
        weights = self.sampler.weights(rows)
        loss = losses.mean() if weights is None else (losses * weights).mean()
        self.optimizer.zero_grad(set_to_none=True)
        self.accelerator.backward(loss)
        if settings.clip_norm is not None:
            self.accelerator.clip_grad_norm_(self.model.parameters(), settings.clip_norm)
        self.optimizer.step()
        self.loss_sum += loss.detach()
        self.result.cost.trained_samples += len(rows)
        self._tell(rows, outputs, y, losses, tap)

    def _choose(self, rows: Tensor, x: Tensor, y: Tensor, tap: FeatureTap | None) -> Tensor:
        if not self.sampler.needs_forward:
            return self.sampler.choose(rows)
        # Evaluation mode: the look at a batch must not move the running statistics of batch norm.
        with evaluation(self.model), autocast(self.device, self.settings.precision):
            losses = self.paradigm.losses(self.model(x), y)
        self.result.cost.forward_samples += len(rows)
        return self.sampler.choose(rows, losses, tap.features if tap else None)

    def _tell(self, rows: Tensor, outputs: Tensor, y: Tensor, losses: Tensor, tap: FeatureTap | None) -> None:
        watched = self.recorder is not None and "train" in self.recorder.phases
        listens = self.sampler.needs_losses or self.sampler.needs_errors
        if not (watched or listens):
            return
        signals = self.paradigm.signals(outputs, y, losses)
        if self.recorder is not None and watched:
            features = tap.features if tap else None
            self.recorder.observe("train", self.ids[rows], self.epoch, features=features, **signals)
        if listens:
            self.sampler.update(rows, signals["loss"], signals.get("errors"))

    def _record_evaluation(self, recorder: Recorder) -> None:
        rows = torch.searchsorted(self.ids, recorder.ids.to(self.device)).cpu()
        tap = FeatureTap(self.model) if "features" in recorder.needs("eval") else None
        with evaluation(self.model):
            for batch in self.samples.batches(torch.split(rows, EVAL_BATCH), device=self.device):
                with autocast(self.device, self.settings.precision):
                    outputs = self.model(batch.x)
                signals = self.paradigm.signals(outputs, batch.y, self.paradigm.losses(outputs, batch.y))
                features = tap.features if tap else None
                recorder.observe("eval", self.ids[batch.rows], self.epoch, features=features, **signals)
        if tap:
            tap.detach()
        self.result.evaluation_cost.forward_samples += len(rows)

    def _save_if_due(self) -> None:
        if self.checkpoint is None or not self.checkpoint.due:
            return
        state: dict[str, Any] = {
            "epoch": self.epoch,
            "step_in_epoch": self.step_in_epoch,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "sampler": self.sampler.state_dict(),
            "recorder": self.recorder.state_dict() if self.recorder else {},
            "loss_sum": self.loss_sum,
            "losses": self.result.losses,
            "cost": self.result.cost.to_dict(),
            "evaluation_cost": self.result.evaluation_cost.to_dict(),
        }
        self.checkpoint.save(state)

    def _resume(self) -> None:
        state = self.checkpoint.load() if self.checkpoint else None
        if state is None:
            return
        self.epoch, self.step_in_epoch = state["epoch"], state["step_in_epoch"]
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.sampler.load_state_dict(state["sampler"])
        if self.recorder:
            self.recorder.load_state_dict(state["recorder"])
        self.loss_sum.copy_(state["loss_sum"])
        self.result = TrainResult(Cost(**state["cost"]), Cost(**state["evaluation_cost"]), state["losses"])
