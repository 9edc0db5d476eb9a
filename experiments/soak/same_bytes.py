"""The same job again and again: with 1 and 2 workers, undisturbed and killed, and on more threads."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import Dataset

from experiments.soak.artifacts import FORK, artifacts, compare, started, wait_for
from graphprune.config.job import Config
from graphprune.data.base import Data, TensorSamples
from graphprune.data.map_style import data_from_datasets
from graphprune.jobs.pipeline import run

# From the graph on, more threads give the same bytes; torch's convolutions round by the number of threads.
AFTER_TRAINING = ("graph", "input_complexity", "extrapolate", "evaluate", "select")


class Items(Dataset[Any]):
    """Samples in memory as a map-style data set, which worker processes read item by item."""

    def __init__(self, samples: TensorSamples) -> None:
        whole = next(iter(samples.batches([torch.arange(len(samples))], device=torch.device("cpu"))))
        self.x, self.targets = whole.x, whole.y.tolist()

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, int]:
        return self.x[row], self.targets[row]


def lazily(data: Data) -> Data:
    """The same data read item by item."""
    assert isinstance(data.train, TensorSamples)
    assert isinstance(data.test, TensorSamples)
    return data_from_datasets(data.name, Items(data.train), Items(data.test))


def same_bytes(
    config: Config, folder: Path, *, data: Data | None = None, kills: int = 2, seed: int = 0
) -> dict[str, Any]:
    """Runs a job with 1 and with 2 workers, each undisturbed and killed; all artifacts must be the same.

    Args:
        config: The job.
        folder: Where the four runs go; must exist.
        data: Of ``data.kind: object``.
        kills: So often each disturbed run is killed, shortly after the start of a stage drawn at random.
        seed: Of stages and moments.
    """
    draws, expected = random.Random(seed), {}
    for workers in (1, 2):
        job = with_workers(config, workers)
        whole, killed = (folder / f"{name}-{workers}" for name in ("whole", "killed"))
        begun = time.monotonic()
        # In this process, so that children find everything imported.
        run(job, whole, data=data)
        patience = 120 + 5 * (time.monotonic() - begun)
        expected = expected or artifacts(whole)
        stages = started(whole)
        for number in sorted(draws.sample(range(len(stages)), kills)):
            _kill(job, killed, data, at=stages[number], after=draws.uniform(0, 0.1), patience=patience)
        last = _start(job, killed, data)
        last.join()
        assert last.exitcode == 0
        # The one artifact that must tell of workers.
        with_these = {**expected, "config.yaml": job.to_yaml().encode()}
        for out in (whole, killed):
            compare(with_these, out)
    return {"runs": 4, "signals": 2 * kills, "artifacts": len(expected)}


def same_bytes_on_threads(
    config: Config, whole: Path, folder: Path, *, data: Data | None = None, threads: int = 2
) -> dict[str, Any]:
    """Does everything but the trainings of a finished run again on more threads; nothing may change."""
    shutil.copytree(whole, folder)
    (folder / "log.jsonl").unlink()
    for stage in AFTER_TRAINING:
        shutil.rmtree(folder / ".stages" / stage, ignore_errors=True)
        (folder / f".stages/{stage}.json").unlink(missing_ok=True)
    child = FORK.Process(target=_on_threads, args=(threads, config, folder, data))
    child.start()
    child.join()
    assert child.exitcode == 0
    redone = started(folder)
    assert "graph" in redone
    assert not {stage for stage in redone if stage.startswith(("score_seeds", "train/"))}, redone
    compare(artifacts(whole), folder)
    return {"threads": threads, "stages": len(redone)}


def with_workers(config: Config, workers: int) -> Config:
    """The job with so many processes that prepare batches."""
    parts = {name: getattr(config, name) for name in ("seed_training", "training")}
    return config.model_copy(
        update={name: part.model_copy(update={"workers": workers}) for name, part in parts.items()}
    )


def _start(config: Config, out: Path, data: Data | None) -> Any:
    process = FORK.Process(target=run, args=(config, out), kwargs={"data": data})
    process.start()
    return process


def _kill(config: Config, out: Path, data: Data | None, *, at: str, after: float, patience: float) -> None:
    process = _start(config, out, data)
    wait_for(lambda: at in started(out), process, seconds=patience)
    time.sleep(after)
    process.kill()
    process.join()
    # What is killed in its last moment may have come to its end.
    assert process.exitcode in (-9, 0), process.exitcode


def _on_threads(threads: int, config: Config, out: Path, data: Data | None) -> None:
    torch.set_num_threads(threads)
    run(config, out, data=data)
