"""Runs the sections of a speed experiment, each in a process of its own, and writes down under which conditions.

    python -m experiments.<experiment>.<script> [SECTION ...] [--repeats 5] [--scale 1.0] [--threads 2]

Each section writes results/SECTION.json. ``--scale`` shrinks the number of samples, to try a script out; it
then writes nothing.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

Section = Callable[[int, float], dict[str, Any]]
Runs = dict[str, Callable[[], Any]]
ROOT = Path(__file__).parents[1]


def run_sections(
    question: str,
    sections: Mapping[str, Section],
    folder: Path,
    packages: tuple[str, ...],
    script: str = "run",
) -> None:
    """The command line of one experiment, whose folder holds the script that calls this, and ``results``."""
    parser = argparse.ArgumentParser(description=question)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=" ".join(sections))
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--here", action="store_true", help="run in this process (used by the script itself)")
    options = parser.parse_args()
    if unknown := set(options.sections) - set(sections):
        parser.error(f"unknown section {sorted(unknown)[0]}; known are {', '.join(sections)}")
    for name in options.sections or sections:
        if not options.here:
            command = [sys.executable, "-m", f"experiments.{folder.name}.{script}", name, "--here"]
            for key in ("repeats", "scale", "threads"):
                command += [f"--{key}", str(getattr(options, key))]
            environment = {**os.environ, "OMP_NUM_THREADS": str(options.threads)}
            subprocess.run(command, check=True, cwd=ROOT, env=environment)
            continue
        torch.set_num_threads(options.threads)
        before = os.getloadavg()[0]
        result = sections[name](options.repeats, options.scale)
        result["conditions"] = {
            "cpu": cpu_name(),
            "cores": os.cpu_count(),
            "threads": options.threads,
            "repeats": options.repeats,
            "load_before": before,
            "load_after": os.getloadavg()[0],
            "peak_resident_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "versions": {package: version(package) for package in packages},
        }
        if options.scale == 1.0:
            (folder / "results").mkdir(exist_ok=True)
            (folder / f"results/{name}.json").write_text(json.dumps(result, indent=1) + "\n")
        print(name, json.dumps(result, indent=1))


def cpu_name() -> str:
    """Model name as Linux gives it."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return "unknown"


def median_seconds(work: Callable[[], Any], repeats: int, warm: int = 1) -> float:
    """Median wall-clock seconds of one call."""
    for _ in range(warm):
        work()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds)


def medians(runs: Runs, repeats: int) -> dict[str, Any]:
    """Median seconds of each, the repeats interleaved so that all meet the same weather; one warm-up each."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats + 1):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            if repeat:
                seconds[name].append(time.perf_counter() - start)
    return {name: {"median_s": statistics.median(s), "all_s": s} for name, s in seconds.items()}


def ratios(found: dict[str, Any], ours: str, *peers: str) -> dict[str, float]:
    """Median seconds of ours over each peer's."""
    return {f"{ours} / {peer}": found[ours]["median_s"] / found[peer]["median_s"] for peer in peers}


class PeakAnonymous:
    """Largest resident memory that no file backs (so memory maps do not count), sampled every 20 ms."""

    def __enter__(self) -> PeakAnonymous:
        self.mib, self._stop = self._now(), threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.02):
            self.mib = max(self.mib, self._now())

    @staticmethod
    def _now() -> float:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) / 1024
        return 0.0
