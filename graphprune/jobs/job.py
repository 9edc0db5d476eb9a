"""What every stage is given: the config, the data, the run folder, and how to make models."""

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

# An option of a sampler with this value is replaced by what the run computed, and its cost is the arm's.
FROM_RUN = "run"
ModelFactory = Callable[[], nn.Module]


class Reporter(Protocol):
    """Where progress is shown; the command line draws bars, a library call shows nothing."""

    def event(self, event: str, stage: str, seconds: float) -> None:
        """A stage was ``started``, ``finished`` (after ``seconds``) or ``kept`` from an earlier attempt."""

    def progress(self, fraction: float, note: str = "") -> None:
        """The share of the current stage that is done, and a note on its speed."""


class Silent:
    """Shows nothing."""

    def event(self, event: str, stage: str, seconds: float) -> None: ...

    def progress(self, fraction: float, note: str = "") -> None: ...


@dataclass(frozen=True)
class Job:
    """One run.

    Args:
        config: The resolved configuration.
        data: Training and test samples.
        run: The folder of artifacts.
        device: Where models live.
        model_factory: Makes an untrained model (default: the config's registered model).
        paradigm: Losses, signals and metric (default: by the task).
        reporter: Progress.
    """

    config: Config
    data: Data
    run: RunFolder
    device: torch.device
    model_factory: ModelFactory | None = None
    paradigm: Paradigm | None = None
    reporter: Reporter = field(default_factory=Silent)

    def make_model(self, *purpose: str | int, method: Method | None = None) -> nn.Module:
        """An untrained model whose initial weights depend on the job's seed and ``purpose`` alone."""
        with isolated_rng(self.config.seed, "init", *purpose):
            if self.model_factory is not None and method is None:
                return self.model_factory()
            return build_model(method or self.config.model, self.data.info)

    def paradigm_for(self, settings: OptimizationConfig) -> Paradigm:
        """Losses and signals of a training with these settings."""
        if self.paradigm is not None:
            return self.paradigm
        forecasting = self.data.info.kind == "forecasting"
        method = self.config.paradigm or Method(name="forecasting" if forecasting else "supervised")
        if (method.name == "forecasting") != forecasting:
            raise InputError(
                f"paradigm '{method.name}' does not fit data of kind {self.data.info.kind}; leave it out"
            )
        if forecasting:
            return create("paradigm", method.name, info=self.data.info)  # type: ignore[no-any-return]
        options = {"label_smoothing": settings.label_smoothing, **method.options}
        if method.name == "adversarial":
            options = {**_input_units(self.data.train), **options}
        return create("paradigm", method.name, **options)  # type: ignore[no-any-return]

    def tracker(self, stage: str) -> Tracker:
        """Where the figures of a stage go; close it when the stage is done."""
        if not self.run.team.writes:
            return Trackers(())
        return make_tracker(self.config.track, self.run.path, self.config.name, stage)

    @cached_property
    def scored(self) -> Job:
        """The job as its scoring stages see it: itself, or for ``unsupervised`` with the labels that were found."""
        from graphprune.jobs.stages.labels import with_found_labels

        return with_found_labels(self)

    @cached_property
    def model_settings(self) -> object:
        """What identifies the model, and the paradigm if the config names one, in a stage's key."""
        if self.model_factory is not None:
            return _identity(self.make_model("key"))
        model = self.config.model.model_dump(mode="json")
        if self.config.paradigm is None:
            return model
        return {"model": model, "paradigm": self.config.paradigm.model_dump(mode="json")}


def _identity(model: nn.Module) -> dict[str, str]:
    """What tells models of a factory apart: classes, layers, initial weights and, if readable, the source code."""
    classes = sorted({f"{type(m).__module__}.{type(m).__qualname__}" for m in model.modules()})
    weights = {name: value.detach().cpu().numpy() for name, value in model.state_dict().items()}
    try:
        source = inspect.getsource(type(model))
    except (OSError, TypeError):  # made in a console, or in C
        source = ""
    return {
        "classes": " ".join(classes),
        "layers": repr(model),
        "weights": array_digest(**weights).hex(),
        "source": fingerprint(source),
    }


def _input_units(samples: Samples) -> dict[str, Any]:
    """What a length in the data's own units is after standardisation; bytes lie in 0..1 before it."""
    if not isinstance(samples, TensorSamples) or samples.mean is None or samples.std is None:
        return {}
    if samples.x.dtype != torch.uint8:
        return {"std": samples.std}
    pairs = list(zip(samples.mean, samples.std, strict=True))
    limits = tuple([(edge - mean) / std for mean, std in pairs] for edge in (0.0, 1.0))
    return {"std": samples.std, "limits": limits}
