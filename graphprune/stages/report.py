"""Write what a run found: metrics.json, ledger.json and the page."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np

from graphprune.files import read_json, write_atomic, write_json
from graphprune.report.html import ReportInput, render
from graphprune.stages.evaluate import oracle_paths, oracle_truth
from graphprune.stages.extrapolate import heldout_path, prediction_path
from graphprune.stages.job import Job
from graphprune.stages.metrics import Trained, collect_metrics
from graphprune.stages.score import score_path
from graphprune.stages.seeds import read_seeds
from graphprune.table import ScoreTable


def write_provenance(job: Job) -> None:
    """Writes ``config.yaml`` (resolved) and ``provenance.json`` (versions, git, hardware, data)."""
    write_atomic(job.run / "config.yaml", lambda p: _write_text(p, job.config.to_yaml()))
    write_json(
        job.run / "provenance.json",
        {
            "versions": _versions(),
            "git": _git_commit(),
            "hardware": _hardware(job),
            "dataset": {"name": job.data.name, "fingerprint": job.data.fingerprint, "faults": list(job.data.faults)},
        },
    )


def write_results(job: Job, trained: Trained, references: dict[str, float]) -> dict[str, Any]:
    """Writes ``metrics.json`` and ``ledger.json``; returns the metrics."""
    seeds = job.run / "seeds.parquet"
    n_seeds = len(read_seeds(job).ids) if seeds.exists() else 0
    ledger = job.run.ledger()
    metrics = collect_metrics(job, trained, references, ledger, n_seeds)
    write_json(job.run / "ledger.json", {name: cost.to_dict() for name, cost in sorted(ledger.items())})
    write_json(job.run / "metrics.json", metrics)
    return metrics


def write_page(job: Job) -> Path:
    """Writes ``report.html`` from the run's files."""
    path = job.run / "report.html"
    page = render(
        ReportInput(
            metrics=read_json(job.run / "metrics.json"),
            ledger=read_json(job.run / "ledger.json"),
            config_yaml=job.config.to_yaml(),
            provenance=read_json(job.run / "provenance.json"),
            scatter=_scatter(job),
        )
    )
    write_atomic(path, lambda p: _write_text(p, page))
    return path


def _scatter(job: Job) -> dict[str, dict[str, dict[str, Any]]]:
    """Predicted beside true scores: against the oracle where there is one, else the held-out seeds."""
    points: dict[str, dict[str, dict[str, Any]]] = {}
    for score in (s.name for s in job.config.scores):
        truth = oracle_truth(job, score) if oracle_paths(job, score) else None
        measured = ScoreTable.from_parquet(score_path(job, score))
        for method in (m.name for m in job.config.extrapolators):
            if truth is not None:
                table = ScoreTable.from_parquet(prediction_path(job, score, method))
                chosen, kind = table.rows(~table.measured), "oracle"
                reference = truth[~table.measured]
            else:
                chosen, kind = ScoreTable.from_parquet(heldout_path(job, score, method)), "heldout"
                reference = measured.values[measured.rows_of(chosen.ids, "held-out seeds")]
            points.setdefault(score, {})[method] = {
                "predicted": np.asarray(chosen.values),
                "truth": reference,
                "std": chosen.std,
                "kind": kind,
            }
    return points


def _write_text(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _versions() -> dict[str, str]:
    import platform
    from importlib.metadata import version

    names = ("graphprune", "torch", "torch-geometric", "numpy", "scipy", "scikit-learn", "accelerate", "pyarrow")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def _git_commit() -> str | None:
    """Commit of the source tree that is running, with ``+changes`` if it is not clean; None outside git."""
    here = Path(__file__).parent

    def git(*arguments: str) -> str:
        done = subprocess.run(["git", "-C", str(here), *arguments], capture_output=True, text=True, timeout=10)
        return done.stdout.strip() if done.returncode == 0 else ""

    try:
        commit = git("rev-parse", "HEAD")
        return (commit + ("+changes" if git("status", "--porcelain") else "")) if commit else None
    except (OSError, subprocess.TimeoutExpired):
        return None


def _hardware(job: Job) -> dict[str, Any]:
    import os
    import platform

    import torch

    cpu = platform.processor() or platform.machine()
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        pass  # other systems keep no such file
    device = torch.cuda.get_device_name(job.device) if job.device.type == "cuda" else job.device.type
    return {"cpu": cpu, "cores": os.cpu_count(), "threads": torch.get_num_threads(), "device": device}
