"""What windows themselves tell a sampler, without a model: how stationary they are, and which are linked."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
from torch import Tensor

from graphprune.config_base import Method
from graphprune.data.base import Samples
from graphprune.data.windows import WindowSamples
from graphprune.files import read_npy, write_npy
from graphprune.graph.spatiotemporal import linked_windows
from graphprune.ledger import Cost, measure
from graphprune.registry import get
from graphprune.samplers.stationarity import roughness, stationarity
from graphprune.stages.job import Job
from graphprune.store import Attempt


def window_stationarity(samples: WindowSamples) -> Tensor:
    """How stationary each window's input is, ``[N]`` in [0, 1]; see `graphprune.samplers.stationarity`."""
    return stationarity(
        torch.cat([roughness(samples.readings(rows, past=True)) for rows in samples.blocks()])
    )


_ANSWERS: dict[str, Callable[[WindowSamples], Tensor | None]] = {
    "stationarity": window_stationarity,
    "links": linked_windows,
}


def asks_windows(samples: Samples, method: Method) -> list[str]:
    """The options of a sampler that windows answer where they are not given."""
    if not isinstance(samples, WindowSamples):
        return []
    known = inspect.signature(get("sampler", method.name)).parameters
    return [option for option in _ANSWERS if option in known and option not in method.options]


def ask_windows(samples: Samples, option: str) -> Tensor | None:
    """The answer to one of `asks_windows`: one pass over the windows' inputs, None where there is none."""
    assert isinstance(samples, WindowSamples)
    return _ANSWERS[option](samples)


def window_stage(option: str) -> str:
    """The stage, and its ledger entry, that asks all windows."""
    return f"windows/{option}"


def told_by_windows(job: Job, method: Method) -> tuple[dict[str, Tensor], Cost, tuple[Path, ...]]:
    """The options that windows answer, what asking them cost, and the files; arms share each file.

    Writes ``windows/<option>.npy``, of shape ``[N, 0]`` where there is no answer.
    """
    told, total, files = dict[str, Tensor](), Cost(), list[Path]()
    for option in asks_windows(job.data.train, method):
        stage, path = window_stage(option), job.run / f"windows/{option}.npy"

        def work(
            attempt: Attempt, option: str = option, stage: str = stage, path: Path = path
        ) -> Iterable[Path]:
            with measure(attempt.costs.setdefault(stage, Cost())):
                found = ask_windows(job.data.train, option)
                empty = torch.zeros(len(job.data.train), 0)
                write_npy(path, (empty if found is None else found).numpy())
            return [path]

        job.run.ensure(stage, settings={"data": job.data.fingerprint}, inputs=[], work=work)
        values = torch.from_numpy(read_npy(path))
        if values.numel():
            told[option] = values
        total, files = total + job.run.costs(stage)[stage], [*files, path]
    return told, total, tuple(files)
