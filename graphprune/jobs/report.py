"""Write the results of a run: metrics.json, ledger.json and the report page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from filelock import FileLock, Timeout

from graphprune.config.job import Config
from graphprune.config.load import load_config
from graphprune.data.base import Data
from graphprune.errors import InputError
from graphprune.files import read_npy, write_json, write_text
from graphprune.jobs import paths
from graphprune.jobs.arms import Arm
from graphprune.jobs.job import Job
from graphprune.jobs.metrics import collect_metrics
from graphprune.jobs.pictures import pictures, principal_plane
from graphprune.jobs.run_folder import RunFolder
from graphprune.jobs.stages.evaluate import LEAST_CLEAR, clear_windows, oracle_truth
from graphprune.jobs.stages.seeds import read_seeds
from graphprune.jobs.stages.select import read_selection
from graphprune.report.html import ReportInput, render
from graphprune.report.samples import SampleMap
from graphprune.report.stored import read_ledger, read_metrics, read_provenance
from graphprune.table import ScoreTable
from graphprune.train.forecast_errors import Errors


def write_results(job: Job, arms: list[Arm], references: dict[str, Errors]) -> dict[str, Any]:
    """Write ``metrics.json`` and ``ledger.json`` (first process only) and return the metrics."""
    n_seeds = len(read_seeds(job).ids) if job.run.outputs("seeds") else 0
    ledger = job.run.ledger()
    if job.config.track:
        tracker = job.tracker("costs")
        tracker.summary({f"{stage}/seconds": cost.seconds for stage, cost in ledger.items()})
        tracker.close()
    metrics = collect_metrics(job, arms, references, ledger, n_seeds)
    if job.run.team.writes:
        write_json(job.run / "ledger.json", {name: cost.to_dict() for name, cost in sorted(ledger.items())})
        write_json(job.run / "metrics.json", metrics)
    return metrics


def write_page(job: Job) -> Path:
    """Write ``report.html`` from the run's files and the data."""
    path = job.run / "report.html"
    page = render(read_report_input(job.run.path, job.config, job.data))
    write_text(path, page)
    return path


def read_report_input(run: Path, config: Config | None = None, data: Data | None = None) -> ReportInput:
    """Return the content of the page from the folder of a finished run; without ``data`` the samples have no images."""
    metrics, ledger, provenance = read_metrics(run), read_ledger(run), read_provenance(run)
    config = config or load_config(run / "config.yaml")
    layout = RunFolder(run)
    scored = bool(metrics["extrapolation"])
    if scored and set(metrics["extrapolation"]) != {score.name for score in config.scores}:
        raise InputError(
            f"{run}: metrics.json has the scores {', '.join(metrics['extrapolation'])} and config.yaml "
            f"{', '.join(score.name for score in config.scores) or 'none'}; restore the files, or run the job again"
        )
    return ReportInput(
        metrics=metrics,
        ledger=ledger,
        config_yaml=config.to_yaml(),
        provenance={
            **provenance,
            "commands": [f"graphprune run config.yaml --out {run.name}"],
        },
        scatter=_scatter(layout, config, data) if scored else {},
        map=_samples(layout, config, data) if scored else None,
        name=config.name,
    )


def refuse_unfinished(run: Path) -> None:
    """Refuse a folder that holds no finished run, or that another process is using."""
    if not (run / "metrics.json").is_file():
        raise InputError(f"{run} has no metrics.json; pass the folder of a finished run")
    if not (run / ".lock").exists():
        return
    try:
        with FileLock(run / ".lock", timeout=0):
            pass
    except Timeout as error:
        raise InputError(f"{run} is in use by a run; wait until it has finished") from error
    except OSError:
        return  # a read-only folder


def _scatter(run: RunFolder, config: Config, data: Data | None) -> dict[str, dict[str, dict[str, Any]]]:
    """Return predicted and true scores: against the oracle if there is one, else for the held-out seed samples.

    For windows, those disjoint from the seed windows are shown if there are enough of them.
    """
    labels = None if data is None else data.train.labels
    ids = np.empty(0, dtype=np.int64) if data is None else data.train.ids
    points: dict[str, dict[str, dict[str, Any]]] = {}
    for score in (s.name for s in config.scores):
        truth = oracle_truth(run, config, score)
        measured = ScoreTable.from_parquet(run / paths.score(score))
        clear = None if data is None else clear_windows(data.train, measured.ids)
        if clear is not None and clear.sum() < LEAST_CLEAR:
            clear = None
        for method in (m.name for m in config.extrapolators):
            if truth is not None:
                table = ScoreTable.from_parquet(run / paths.prediction(score, method))
                shown, kind = (~table.measured, "oracle") if clear is None else (clear, "oracle_clear")
                chosen, reference = table.rows(shown), truth[shown]
            else:
                chosen, kind = ScoreTable.from_parquet(run / paths.heldout(score, method)), "heldout"
                reference = measured.values[measured.rows_of(chosen.ids, "held-out seeds")]
            points.setdefault(score, {})[method] = {
                "predicted": chosen.values,
                "truth": reference,
                "std": chosen.std,
                "kind": kind,
                "labels": None if labels is None else labels[np.isin(ids, chosen.ids)],
            }
    return points


def _samples(run: RunFolder, config: Config, data: Data | None) -> SampleMap:
    """Return every score by its first arm's extrapolator (else the first one), on a 2-D map of the embeddings."""
    chosen = {score.name: config.extrapolators[0].name for score in config.scores}
    chosen |= {arm.score: arm.extrapolator for arm in reversed(config.arms) if arm.score is not None}
    tables = {
        score: ScoreTable.from_parquet(run / paths.prediction(score, method))
        for score, method in chosen.items()
    }
    first = next(iter(tables.values()))
    for score, table in tables.items():
        path = run / paths.prediction(score, chosen[score])
        if not np.array_equal(table.ids, first.ids if data is None else data.train.ids):
            raise InputError(f"{path} holds other samples than the run's data; run the job again")
    kept = {
        arm.name: np.isin(first.ids, read_selection(run, arm.name).ids)
        for arm in config.arms
        if arm.sampler is None
    }
    samplers = [arm.name for arm in config.arms if arm.sampler is not None]
    samplers += [config.training.sampler.name] if config.training.sampler is not None else []
    return SampleMap(
        ids=first.ids,
        scores={score: table.values for score, table in tables.items()},
        stds={score: table.std for score, table in tables.items() if table.std is not None},
        measured=first.measured,
        kept=kept,
        visits={
            name: share for name in samplers if (share := _visits(run, config, name, len(first))) is not None
        },
        xy=principal_plane(_embeddings(run / paths.EMBEDDINGS, len(first))),
        **({} if data is None else pictures(data)),
    )


def _embeddings(path: Path, n: int) -> npt.NDArray[Any]:
    """Return the embeddings ``[N, D]``, memory-mapped."""
    array = read_npy(path, mmap=True)
    if array.ndim != 2 or len(array) != n or array.dtype.kind != "f" or not array.shape[1]:
        raise InputError(
            f"{path} is {array.dtype} {list(array.shape)}; it must be floating point [{n}, D]; run the job again"
        )
    if not np.isfinite(array).all():
        raise InputError(f"{path} holds NaN or infinite values; run the job again")
    return array


def _visits(run: RunFolder, config: Config, arm: str, n: int) -> npt.NDArray[np.float64] | None:
    """Return how often an epoch of the arm trains on each sample, ``[N]``, mean over the random seeds."""
    files = [run / paths.arm(arm, state, "visits.npy") for state in config.training.random_states]
    # Runs of earlier versions did not count visits.
    if not all(path.exists() for path in files):
        return None
    visits = [read_npy(path) for path in files]
    for path, one in zip(files, visits, strict=True):
        if one.shape != (n,) or one.dtype.kind not in "iu":
            raise InputError(
                f"{path} is {one.dtype} {list(one.shape)}; it must be integers [{n}]; run the job again"
            )
    counts = np.stack(visits)
    share: npt.NDArray[np.float64] = counts.mean(axis=0, dtype=np.float64) / config.training.epochs
    return share
