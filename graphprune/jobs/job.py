"""The input of every stage: the config, the data, the run folder, and how to make models."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Protocol

import torch
from torch import nn

from graphprune.config.base import Method
from graphprune.config.job import Config
from graphprune.config.training import OptimizationConfig
from graphprune.data.base import Data, Samples, TensorSamples
from graphprune.errors import InputError
from graphprune.files import array_digest, fingerprint
from graphprune.jobs.run_folder import RunFolder
from graphprune.models.build import build_model
from graphprune.registry import create
from graphprune.runtime.rng import isolated_rng
from graphprune.train.paradigms.base import Paradigm
from graphprune.train.tracking import Tracker, Trackers, make_tracker

# A sampler option with this value is replaced by what the run computed; the arm pays for it.
FROM_RUN = "run"
ModelFactory = Callable[[], nn.Module]


class Reporter(Protocol):
    """Receives the progress: the command line shows bars, a library call shows nothing."""

    def event(self, event: str, stage: str, seconds: float) -> None:
        """Report that a stage was ``started``, ``finished`` (after ``seconds``) or ``kept`` from an earlier run."""

    def progress(self, fraction: float, note: str = "") -> None:
        """Report the finished fraction of the current stage, and a note on its speed."""


class Silent:
    """Discards all progress."""

    def event(self, event: str, stage: str, seconds: float) -> None: ...

    def progress(self, fraction: float, note: str = "") -> None: ...


@dataclass(frozen=True)
class Job:
    """One run: the config, the data and the run folder.

    Args:
        config: The resolved configuration.
        data: Training and test samples.
        run: The run folder.
        device: Device of the models.
        model_factory: Returns an untrained model (default: the config's registered model).
        paradigm: Losses, signals and metric (default: determined by the task).
        reporter: Receives the progress.
    """

    config: Config
    data: Data
    run: RunFolder
    device: torch.device
    model_factory: ModelFactory | None = None
    paradigm: Paradigm | None = None
    reporter: Reporter = field(default_factory=Silent)

    def make_model(self, *purpose: str | int, method: Method | None = None) -> nn.Module:
        """Return an untrained model whose initial weights depend only on the job's seed and ``purpose``."""
        with isolated_rng(self.config.seed, "init", *purpose):
            if self.model_factory is not None and method is None:
                return self.model_factory()
            return build_model(method or self.config.model, self.data.info)

    def paradigm_for(self, settings: OptimizationConfig) -> Paradigm:
        """Return the losses and signals of a training with these settings."""
        if self.paradigm is not None:
            return self.paradigm
        forecasting = self.data.info.kind == "forecasting"
        method = self.config.paradigm or Method(name="forecasting" if forecasting else "supervised")
        if (method.name == "forecasting") != forecasting:
            raise InputError(
                f"paradigm '{method.name}' does not fit data of kind {self.data.info.kind}; remove it"
            )
        if forecasting:
            return create("paradigm", method.name, info=self.data.info)  # type: ignore[no-any-return]
        options = {"label_smoothing": settings.label_smoothing, **method.options}
        if method.name == "adversarial":
            options = {**_input_units(self.data.train), **options}
        return create("paradigm", method.name, **options)  # type: ignore[no-any-return]

    def tracker(self, stage: str) -> Tracker:
        """Return the tracker of a stage; close it when the stage is done."""
        if not self.run.team.writes:
            return Trackers(())
        return make_tracker(self.config.track, self.run.path, self.config.name, stage)

    @cached_property
    def scored(self) -> Job:
        """The job of the scoring stages: this job, or for ``unsupervised`` the same job with the found labels."""
        from graphprune.jobs.stages.labels import with_found_labels

        return with_found_labels(self)

    @cached_property
    def model_settings(self) -> object:
        """The identity of the model, and of a configured paradigm, for the keys of the stages."""
        if self.model_factory is not None:
            return _identity(self.make_model("key"))
        model = self.config.model.model_dump(mode="json")
        if self.config.paradigm is None:
            return model
        return {"model": model, "paradigm": self.config.paradigm.model_dump(mode="json")}


def _identity(model: nn.Module) -> dict[str, str]:
    """Identify the models of a factory: classes, layers, initial weights and, if available, the source code."""
    classes = sorted({f"{type(m).__module__}.{type(m).__qualname__}" for m in model.modules()})
    weights = {name: value.detach().cpu().numpy() for name, value in model.state_dict().items()}
    try:
        source = inspect.getsource(type(model))
    except (OSError, TypeError):  # defined in a console or in C
        source = ""
    return {
        "classes": " ".join(classes),
        "layers": repr(model),
        "weights": array_digest(**weights).hex(),
        "source": fingerprint(source),
    }


def _input_units(samples: Samples) -> dict[str, Any]:
    """Convert a length from the data's own units to standardized inputs; bytes are scaled to 0..1 before."""
    if not isinstance(samples, TensorSamples) or samples.mean is None or samples.std is None:
        return {}
    if samples.x.dtype != torch.uint8:
        return {"std": samples.std}
    pairs = list(zip(samples.mean, samples.std, strict=True))
    limits = tuple([(edge - mean) / std for mean, std in pairs] for edge in (0.0, 1.0))
    return {"std": samples.std, "limits": limits}
