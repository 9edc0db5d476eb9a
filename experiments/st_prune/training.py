"""How everything here is trained, and what that costs in CPU seconds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from experiments.st_prune.settings import SETTINGS
from graphprune.config.training import OptimizationConfig
from graphprune.data.base import Data
from graphprune.data.windows import WindowSamples, load_sensors
from graphprune.graph.spatiotemporal import linked_windows
from graphprune.registry import get
from graphprune.runtime.rng import isolated_rng
from graphprune.samplers.base import EpochSampler
from graphprune.samplers.static import StaticSampler
from graphprune.scores.base import Score, Signals
from graphprune.scores.recorder import Recorder
from graphprune.train.loop import TrainResult, train_model
from graphprune.train.paradigms.forecasting import Forecasting

CPU = torch.device("cpu")


@dataclass(frozen=True)
class Place:
    """Where data are and intermediate results go; ``limit`` steps and ``epochs`` make a smoke test of it."""

    data: Path
    work: Path
    limit: int | None = None
    epochs: int | None = None

    def file(self, name: str, job: str, state: int) -> Path:
        return self.work / f"{name}-{job}-{state}.npz"

    def setting(self, name: str) -> Any:
        setting = SETTINGS[name]
        return setting if self.epochs is None else replace(setting, epochs=self.epochs)

    def load(self, name: str) -> Data:
        setting = SETTINGS[name]
        return load_sensors(self.data / setting.file, limit=self.limit, **setting.data)


class LossSum(Score):
    """Not a score: the sum of each window's losses over its visits."""

    needs = frozenset({"loss"})
    phase = "train"  # type: ignore[misc]

    def _allocate(self, epochs: int, num_classes: int | None) -> None:
        self.loss = self._full()

    def update(self, rows: Tensor, signals: Signals, epoch: int) -> None:
        assert signals.loss is not None
        self.loss[rows] = self.loss[rows] + signals.loss

    def values(self) -> Tensor:
        return self._finish(self.loss)


class TrainingEnd:
    """As a tracker: notes the process's CPU seconds when an epoch's training ends, before anything is evaluated."""

    cpu = 0.0

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        self.cpu = time.process_time()


def train(
    data: Data,
    setting: Any,
    sampler: EpochSampler,
    epochs: float,
    state: int,
    scores: dict[str, Score],
    ids: npt.NDArray[np.int64],
    tracker: Any = None,
) -> tuple[nn.Module, TrainResult, Recorder]:
    """One training; all arms of a random state start from the same weights."""
    with isolated_rng(state, "init"):
        model = get("model", "stid").for_task(data.info, **setting.model)
    whole = max(1, int(epochs))
    recorder = Recorder(scores, torch.from_numpy(ids), epochs=whole + 1, eval_epochs=(whole - 1, whole))
    result = train_model(
        model,
        data.train,
        Forecasting(info=data.info),
        sampler,
        optimization(setting, epochs),
        seed=state,
        device=CPU,
        recorder=recorder,
        tracker=tracker,
    )
    return model, result, recorder


def warm_up(data: Data, setting: Any) -> None:
    """Trains on two windows: what a process loads at its first step is no job's cost."""
    sampler = StaticSampler(len(data.train), rows=torch.arange(2), epochs=1)
    train(data, setting, sampler, 1, 0, {"loss": LossSum()}, data.train.ids)


def optimization(setting: Any, epochs: float) -> OptimizationConfig:
    """Of a set, for so many epochs."""
    return OptimizationConfig(
        epochs=epochs, batch_size=setting.batch_size, optimizer="adamw", lr=setting.lr, weight_decay=0.01
    )


def linked(data: Data, ids: npt.NDArray[np.int64] | None = None) -> Tensor | None:
    """Rows of the linked sensors' windows among ``ids`` (default: all), for windows of single sensors."""
    assert isinstance(data.train, WindowSamples)
    return linked_windows(data.train, ids)
