"""Runs many commands a few at a time; the first that fails ends them all."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence

from experiments.harness import ROOT


def run_all(commands: Iterable[Sequence[str]], *, at_once: int, threads: int = 1) -> None:
    """Runs ``python -m`` with each list of arguments in the repository's root, with so many OpenMP threads."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    waiting, running = list(commands), list[subprocess.Popen[bytes]]()
    try:
        while waiting or running:
            while waiting and len(running) < at_once:
                command = [sys.executable, "-m", *waiting.pop(0)]
                running.append(subprocess.Popen(command, cwd=ROOT, env=environment))
            for process in [each for each in running if each.poll() is not None]:
                running.remove(process)
                if process.returncode:
                    sys.exit(
                        f"a run failed with exit code {process.returncode}; the same command goes on from here"
                    )
            time.sleep(0.2)
    finally:
        for process in running:
            process.terminate()
