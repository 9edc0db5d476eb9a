"""Record the config, versions, hardware and data of a run."""

from __future__ import annotations

import os
import platform
import subprocess  # nosec B404
from pathlib import Path
from typing import Any

import torch

from graphprune.files import write_json, write_text
from graphprune.jobs.job import Job
from graphprune.runtime.packages import versions


def write_provenance(job: Job) -> None:
    """Write ``config.yaml`` (resolved) and ``provenance.json`` (versions, git, hardware, data)."""
    if not job.run.team.writes:
        return
    write_text(job.run / "config.yaml", job.config.to_yaml())
    write_json(
        job.run / "provenance.json",
        {
            "versions": versions(),
            "git": _git_commit(),
            "hardware": _hardware(job),
            "dataset": {"name": job.data.name, "fingerprint": job.data.fingerprint},
            "faults": list(job.data.faults),
        },
    )


def _git_commit() -> str | None:
    """Return the commit of the running source tree, with ``+changes`` if it is not clean; None outside git."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        # No shell, and no text from the user.
        done = subprocess.run(  # nosec B603 B607
            ["git", "-C", str(here), *arguments],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=10,
        )
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        commit = git("rev-parse", "HEAD")
        return (commit + ("+changes" if git("status", "--porcelain") else "")) if commit else None
    except (OSError, subprocess.TimeoutExpired):
        return None


def _hardware(job: Job) -> dict[str, Any]:
    cpu = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
        cpu = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass  # other systems have no such file
    device = torch.cuda.get_device_name(job.device) if job.device.type == "cuda" else job.device.type
    return {
        "cpu": cpu,
        "cores": os.cpu_count(),
        "processes": job.run.team.size,
        "threads": torch.get_num_threads(),
        "device": device,
    }
