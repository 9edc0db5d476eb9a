"""Trackers of a training's figures: always JSON lines, on request also TensorBoard and MLflow."""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from graphprune.errors import InputError
from graphprune.runtime.cost import Cost

_BINS = 20


class Tracker(Protocol):
    """Tracker: receive scalars of epochs, histograms of scores, and final figures such as costs."""

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        """Logs scalars of an epoch. If a resumed run repeats an epoch, the last values count."""

    def histogram(self, name: str, values: Tensor) -> None:
        """Logs the distribution of values ``[N]``, one per sample."""

    def summary(self, values: Mapping[str, float]) -> None:
        """Logs figures of the whole run."""

    def close(self) -> None:
        """Writes pending data."""


class JsonlTracker:
    """JsonlTracker: append JSON lines to a file: ``{"time", "event": "epoch", "stage", "epoch", "loss", ...}``.

    Args:
        path: The file; its folder must exist.
        stage: Name of the training.
    """

    def __init__(self, path: Path, stage: str) -> None:
        self.path, self.stage = path, stage

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        self._append("epoch", epoch=epoch, **{name: round(value, 6) for name, value in values.items()})

    def histogram(self, name: str, values: Tensor) -> None:
        counts, edges = _histogram(values)
        self._append("histogram", name=name, counts=counts, edges=edges)

    def summary(self, values: Mapping[str, float]) -> None:
        self._append("summary", **dict(values))

    def close(self) -> None: ...

    def _append(self, event: str, **fields: Any) -> None:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S%z")
        line = json.dumps({"time": stamp, "event": event, "stage": self.stage, **fields})
        with self.path.open("a", encoding="utf-8") as handle:
            handle.write(line + "\n")


class TensorBoardTracker:
    """TensorBoardTracker: write event files for ``tensorboard --logdir``.

    Args:
        folder: Folder of the event files, one per stage.
    """

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise _missing("tensorboard") from error
        self._writer: Any = SummaryWriter(str(folder))

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(name, value, epoch)

    def histogram(self, name: str, values: Tensor) -> None:
        self._writer.add_histogram(name, values[values.isfinite()], 0)

    def summary(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._writer.add_scalar(f"summary/{name}", value, 0)

    def close(self) -> None:
        self._writer.close()


class MLflowTracker:
    """MLflowTracker: log one MLflow run per stage, in an experiment with the name of the job.

    Args:
        experiment: Name of the experiment; it is created if it does not exist.
        stage: Name of the run.
        uri: Tracking server or store (default: MLflow's own setting, ``MLFLOW_TRACKING_URI``: a server; a
            database or, with ``MLFLOW_ALLOW_FILE_STORE=true``, a folder).

    Raises:
        InputError: MLflow is not installed, or its store reports an error.
    """

    def __init__(self, experiment: str, stage: str, uri: str | None = None) -> None:
        try:
            from mlflow.tracking import MlflowClient
        except ImportError as error:
            raise _missing("mlflow") from error
        try:
            self._client: Any = MlflowClient(tracking_uri=uri)
            found = self._client.get_experiment_by_name(experiment)
            number = found.experiment_id if found else self._client.create_experiment(experiment)
            self._run = self._client.create_run(number, run_name=stage).info.run_id
        except Exception as error:  # stores and servers raise many types; all mean a wrong setting
            first = str(error).strip().splitlines()[0]
            raise InputError(
                f"track: mlflow reported an error ({first}); set MLFLOW_TRACKING_URI to a server"
            ) from error

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._client.log_metric(self._run, name, value, step=epoch)

    def histogram(self, name: str, values: Tensor) -> None:
        counts, edges = _histogram(values)
        self._client.log_dict(self._run, {"counts": counts, "edges": edges}, f"histograms/{name}.json")

    def summary(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self._client.log_metric(self._run, name, value)

    def close(self) -> None:
        self._client.set_terminated(self._run)


class Trackers:
    """Trackers: send everything to several trackers."""

    def __init__(self, parts: Sequence[Tracker]) -> None:
        self.parts = parts

    def log(self, epoch: int, values: Mapping[str, float]) -> None:
        for part in self.parts:
            part.log(epoch, values)

    def histogram(self, name: str, values: Tensor) -> None:
        for part in self.parts:
            part.histogram(name, values)

    def summary(self, values: Mapping[str, float]) -> None:
        for part in self.parts:
            part.summary(values)

    def close(self) -> None:
        for part in self.parts:
            part.close()


class Meter:
    """Meter: measure the speed of a training and the fraction of the data it trains on.

    Args:
        n: Number of samples in the data.
    """

    def __init__(self, n: int) -> None:
        self.n = n

    def start(self, cost: Cost) -> None:
        """Starts to measure."""
        self._began = time.perf_counter()
        self._first = self._seconds, self._trained = cost.seconds, cost.trained_samples

    def note(self, cost: Cost, kept: float) -> str:
        """The text of a progress line."""
        speed = (cost.trained_samples - self._first[1]) / max(time.perf_counter() - self._began, 1e-9)
        return f"{speed:,.0f} samples/s, kept {kept:.0%}"

    def epoch(self, cost: Cost) -> dict[str, float]:
        """Figures of the epoch that just ended; if it was resumed, of the part since then."""
        seconds, trained = cost.seconds - self._seconds, cost.trained_samples - self._trained
        self._seconds, self._trained = cost.seconds, cost.trained_samples
        speed = trained / max(seconds, 1e-9)
        return {"kept": trained / self.n, "samples_per_second": speed, "seconds": cost.seconds}


def check_trackers(kinds: Sequence[str]) -> None:
    """Rejects trackers whose library is missing, before anything is trained.

    Raises:
        InputError: a tracker's library is not installed.
    """
    for kind in kinds:
        if importlib.util.find_spec(kind) is None:
            raise _missing(kind)


def make_tracker(kinds: Sequence[str], folder: Path, job: str, stage: str) -> Tracker:
    """The trackers of one stage of a job.

    Args:
        kinds: Any of ``tensorboard`` and ``mlflow``; JSON lines are always written.
        folder: The run folder, which gets ``log.jsonl`` and ``tensorboard/<stage>``.
        job: Name of the job.
        stage: Name of the stage.

    Raises:
        InputError: a tracker's library is not installed.
    """
    parts: list[Tracker] = [JsonlTracker(folder / "log.jsonl", stage)]
    if "tensorboard" in kinds:
        parts.append(TensorBoardTracker(folder / "tensorboard" / stage))
    if "mlflow" in kinds:
        parts.append(MLflowTracker(job, stage))
    return Trackers(parts)


def _histogram(values: Tensor) -> tuple[list[int], list[float]]:
    finite = values.detach().float().cpu()
    finite = finite[finite.isfinite()]
    if not len(finite):
        return [], []
    counts, edges = torch.histogram(finite, bins=_BINS)
    return counts.int().tolist(), edges.tolist()


def _missing(library: str) -> InputError:
    return InputError(f"track: {library} is not installed; install it with: pip install 'graphprune[track]'")
