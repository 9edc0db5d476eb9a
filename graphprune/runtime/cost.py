"""Cost of a stage: seconds, peak memory, and the samples trained on and evaluated."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass
class Cost:
    """Cost of a piece of work.

    Attributes:
        seconds: Wall-clock time, summed over interrupted attempts that left a checkpoint.
        peak_mib: Peak resident memory in MiB; on CUDA plus the peak allocation.
        trained_samples: Samples in forward and backward passes.
        forward_samples: Samples in forward passes only (evaluation, embedding, selection within batches).

    >>> total = Cost(seconds=2.0, peak_mib=50.0) + Cost(seconds=1.0, peak_mib=80.0)
    >>> total.seconds, total.peak_mib
    (3.0, 80.0)
    """

    seconds: float = 0.0
    peak_mib: float = 0.0
    trained_samples: int = 0
    forward_samples: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(
            self.seconds + other.seconds,
            max(self.peak_mib, other.peak_mib),
            self.trained_samples + other.trained_samples,
            self.forward_samples + other.forward_samples,
        )

    def passes(self, n: int, epochs: float) -> float:
        """Cost in full trainings on ``n`` samples for ``epochs``; a backward pass counts as two forward passes.

        >>> Cost(trained_samples=500).passes(n=100, epochs=10)
        0.5
        """
        return (3 * self.trained_samples + self.forward_samples) / (3 * n * epochs)

    def to_dict(self) -> dict[str, Any]:
        """The attributes as plain numbers, for JSON."""
        return asdict(self)


def folded(entry: str) -> str:
    """The stage that a ledger entry is summed up in: of arms their name stays, of all else the first part.

    >>> folded("train/random/0"), folded("extrapolate/tdds/knn/fit"), folded("seed_training")
    ('train/random', 'extrapolate', 'seed_training')
    """
    parts = entry.split("/")
    return "/".join(parts[:2]) if parts[0] in ("train", "select") else parts[0]


class Stopwatch:
    """Adds the time since the last lap and the peak memory to a `Cost`; a lap first waits for pending GPU work."""

    def __init__(self, cost: Cost) -> None:
        self.cost = cost
        _reset_peak()
        _await_gpus()
        self._start = time.perf_counter()

    def lap(self) -> None:
        """Add the time until now, so that the next checkpoint includes it."""
        _await_gpus()
        now = time.perf_counter()
        self.cost.seconds += now - self._start
        self.cost.peak_mib = max(self.cost.peak_mib, _peak_mib())
        self._start = now


@contextmanager
def measure(cost: Cost) -> Iterator[Stopwatch]:
    """Add the seconds and the peak memory of the block to ``cost``, also if the block raises."""
    watch = Stopwatch(cost)
    try:
        yield watch
    finally:
        watch.lap()


def _reset_peak() -> None:
    if sys.platform == "linux":
        # If this is not permitted, the peak of the whole process is reported, which is never too small.
        with suppress(OSError):
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    for device in _used_gpus():
        sys.modules["torch"].cuda.reset_peak_memory_stats(device)


def _used_gpus() -> list[int]:
    """The GPUs on which this process has allocated memory; a run on the CPU does not initialize CUDA."""
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return []
    return [i for i in range(torch.cuda.device_count()) if torch.cuda.max_memory_allocated(i)]


def _await_gpus() -> None:
    for device in _used_gpus():
        sys.modules["torch"].cuda.synchronize(device)


def _peak_mib() -> float:
    peak = 0.0
    try:
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                peak = int(line.split()[1]) / 1024
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20
    for device in _used_gpus():
        peak += sys.modules["torch"].cuda.max_memory_allocated(device) / 2**20
    return peak
