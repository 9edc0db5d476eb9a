"""Measured cost of a piece of work on part of the samples, and the parts that it is measured on."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from graphprune.data.base import Batch, Samples
from graphprune.data.windows import WindowSamples
from graphprune.errors import InputError
from graphprune.runtime.cost import Cost, measure
from graphprune.runtime.rng import generator


@dataclass(frozen=True)
class Measured:
    """Cost of one piece of work on ``n`` samples.

    Attributes:
        n: Number of samples.
        seconds: Time for all of them.
        base_mib, peak_mib: Resident memory before the work, and its maximum during it.
    """

    n: int
    seconds: float
    base_mib: float
    peak_mib: float

    def seconds_for(self, n: float, *, power: float = 1.0) -> float:
        """Return the time for ``n`` samples if it grows with their number to the power ``power``."""
        return float(self.seconds * (n / self.n) ** power)

    def peak_for(self, n: float) -> float:
        """Return the peak in MiB if the memory above the base grows with the number of samples."""
        return self.base_mib + (self.peak_mib - self.base_mib) * max(1.0, n / self.n)

    def cost_for(self, n: float, *, power: float = 1.0) -> Cost:
        """Return time and peak for ``n`` samples."""
        return Cost(self.seconds_for(n, power=power), self.peak_for(n))


class Part(Samples):
    """A subset of the rows of some samples, as samples of its own."""

    def __init__(self, samples: Samples, rows: Tensor) -> None:
        self.samples, self.rows = samples, rows
        self.ids = samples.ids[rows.numpy()]
        self.labels = None if samples.labels is None else samples.labels[rows.numpy()]

    def batches(self, order: Iterable[Tensor], *, device: torch.device, workers: int = 0) -> Iterator[Batch]:
        wanted, requested = [], []
        for rows in order:
            requested.append(rows)
            wanted.append(self.rows[rows.cpu()])
        found = self.samples.batches(iter(wanted), device=device, workers=workers)
        for rows, batch in zip(requested, found, strict=True):
            yield Batch(rows.to(batch.rows.device), batch.x, batch.y)

    def digest(self) -> bytes:
        return self.samples.digest()


def some_windows(samples: WindowSamples, rows: Tensor) -> WindowSamples:
    """A subset of windows, for methods that need windows and not only batches."""
    part = copy(samples)
    part.ids = samples.ids[rows.numpy()]
    return part


def spread(n: int, count: int) -> Tensor:
    """Draw at most ``count`` of ``n`` rows at random with a fixed seed; ascending."""
    if n < 2:
        raise InputError(f"a plan needs at least 2 samples (received {n})")
    return torch.randperm(n, generator=generator(0, "plan", n))[: min(n, count)].sort().values


def timed(n: int, work: Callable[[], Any]) -> tuple[Any, Measured]:
    """Measure the second of two calls if the first is short, because the first also loads what is loaded only once."""
    cost = Cost()
    base = resident_mib()
    with measure(cost):
        result = work()
    if cost.seconds < 0.3:
        cost = Cost()
        with measure(cost):
            result = work()
    return result, Measured(n, cost.seconds, base, cost.peak_mib)


def resident_mib() -> float:
    """Return the resident memory of this process; 0 if the system does not report it."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return 0.0
    return pages * 4096 / 2**20
