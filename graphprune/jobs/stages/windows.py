"""Inputs of samplers that are computed from windows without a model: stationarity and links."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graphprune.config.base import Method
from graphprune.data.base import Samples
from graphprune.data.windows import WindowSamples
from graphprune.files import read_npy, write_npy
from graphprune.graph.spatiotemporal import linked_windows
from graphprune.jobs import paths
from graphprune.jobs.job import Job
from graphprune.jobs.stage import Attempt, Estimate, Product, Stage
from graphprune.registry import get
from graphprune.runtime.cost import Cost, measure
from graphprune.samplers.stationarity import roughness, stationarity

if TYPE_CHECKING:
    from graphprune.jobs.plan.calibrate import Calibration


def window_stationarity(samples: WindowSamples) -> Tensor:
    """Return the stationarity of each window's input, ``[N]`` in [0, 1]; see `graphprune.samplers.stationarity`."""
    return stationarity(
        torch.cat([roughness(samples.readings(rows, past=True)) for rows in samples.blocks()])
    )


_COMPUTED: dict[str, Callable[[WindowSamples], Tensor | None]] = {
    "stationarity": window_stationarity,
    "links": linked_windows,
}


def window_options(samples: Samples, method: Method) -> list[str]:
    """Return the options of a sampler that are computed from windows if they are not set."""
    if not isinstance(samples, WindowSamples):
        return []
    known = inspect.signature(get("sampler", method.name)).parameters
    return [option for option in _COMPUTED if option in known and option not in method.options]


def window_option(samples: Samples, option: str) -> Tensor | None:
    """Compute one of the options of `window_options` in one pass over the windows' inputs; None if it has no value."""
    assert isinstance(samples, WindowSamples)
    return _COMPUTED[option](samples)


def stages(job: Job) -> Iterator[Stage]:
    """Write ``windows/<option>.npy`` for all options of `window_options`; arms share the files.

    A file has shape ``[N, 0]`` if the option has no value.
    """
    from_windows = (
        option for method in job.config.samplers() for option in window_options(job.data.train, method)
    )
    for option in dict.fromkeys(from_windows):
        yield _stage(job, option)


def read_window_options(job: Job, method: Method) -> dict[str, Tensor]:
    """Return the options that are computed from windows for a sampler."""
    options = window_options(job.data.train, method)
    read = {option: torch.from_numpy(read_npy(job.run / paths.window_values(option))) for option in options}
    return {option: values for option, values in read.items() if values.numel()}


def _stage(job: Job, option: str) -> Stage:
    name, path, n = f"windows/{option}", job.run / paths.window_values(option), len(job.data.train)

    def work(attempt: Attempt) -> Iterable[Path]:
        with measure(attempt.costs.setdefault(name, Cost())):
            found = window_option(job.data.train, option)
            write_npy(path, (torch.zeros(n, 0) if found is None else found).numpy())
        return [path]

    def estimate(measured: Calibration) -> Estimate:
        return Estimate({name: measured.passes.from_windows[option].cost_for(n)}, disk_bytes=4 * n)

    made = Product(name, (paths.window_values(option),))
    return Stage(name, work, estimate, makes=(made,), settings={"data": job.data.fingerprint})
