"""Collect the results of the stages into the metrics of a run."""

from __future__ import annotations

import statistics
from dataclasses import dataclass
from typing import Any

from graphprune.files import read_json
from graphprune.jobs import paths
from graphprune.jobs.arms import Arm, Spent, spent
from graphprune.jobs.job import Job
from graphprune.jobs.methods import is_control
from graphprune.jobs.stages.evaluate import read_evaluation
from graphprune.jobs.stages.extrapolate import needs_of
from graphprune.jobs.stages.forecasts import arm_errors, summary
from graphprune.jobs.stages.learned import majority_share, seed_run_metric
from graphprune.report.learning import judge_seed_run, judge_training
from graphprune.report.verdict import verdict
from graphprune.runtime.cost import Cost
from graphprune.train.forecast_errors import Errors


def collect_metrics(
    job: Job, arms: list[Arm], references: dict[str, Errors], ledger: dict[str, Cost], n_seeds: int
) -> dict[str, Any]:
    """Return the content of ``metrics.json``; ``references`` are forecasts that need no training, by name."""
    n = len(job.data.train)
    results = {arm.name: _Result(arm, spent(job, arm), _reports(job, arm)) for arm in arms}
    metrics = {
        "schema": 1,
        "dataset": {
            "name": job.data.name,
            "n": n,
            "n_test": len(job.data.test),
            "fingerprint": job.data.fingerprint,
            "faults": list(job.data.faults),
            "majority_share": majority_share(job.data),
        },
        "seeds": {"n": n_seeds, "fraction": n_seeds / n},
        "seed_run": seed_run_metric(job) if n_seeds else None,
        "extrapolation": _extrapolation(job) if n_seeds else {},
        "training": {
            **{name: _reference(value) for name, value in references.items()},
            **{name: _training(job, result, arms) for name, result in results.items()},
        },
        "cost": {name: {"seconds": c.seconds, "peak_mib": c.peak_mib} for name, c in sorted(ledger.items())},
        "saving": _saving(results),
    }
    found, models, seeds = verdict(metrics), judge_training(metrics), judge_seed_run(metrics)
    advice = {
        "kind": found.kind,
        "sentence": found.sentence,
        "notes": list(found.notes),
        "learned": models and models.learned,
        "seeds_learned": seeds and seeds.learned,
    }
    return {**metrics, "verdict": advice}


def _extrapolation(job: Job) -> dict[str, Any]:
    judged = read_evaluation(job)
    n, epochs = len(job.data.train), job.config.training.epochs
    for score, judged_score in judged.items():
        for method, result in judged_score["methods"].items():
            name = f"extrapolate/{score}/{method}"
            costs = job.run.costs(name)
            result["fit_seconds"] = costs[f"{name}/fit"].seconds
            result["predict_seconds"] = costs[f"{name}/predict"].seconds
            result["cost_passes"] = job.run.cost_of(needs_of(job.scored, score, method)).passes(n, epochs)
            result["control"] = is_control(method)
    return judged


@dataclass(frozen=True)
class _Result:
    """A trained arm with its cost and the report of each training."""

    arm: Arm
    spent: Spent
    reports: list[dict[str, Any]]

    @property
    def values(self) -> list[float]:
        return [report["value"] for report in self.reports]


def _reports(job: Job, arm: Arm) -> list[dict[str, Any]]:
    return [read_json(job.run / paths.arm(arm.name, s, "json")) for s in job.config.training.random_states]


def _training(job: Job, result: _Result, arms: list[Arm]) -> dict[str, Any]:
    arm, cost, total, values = result.arm, result.spent.training, result.spent.total, result.values
    visited = cost.trained_samples / (len(job.data.train) * arm.epochs)
    robust = [report["robust"] for report in result.reports if "robust" in report]
    return {
        "keep": visited if arm.keep is None else arm.keep,
        "epochs": arm.epochs,
        "metric": result.reports[0]["metric"],
        "value": values,
        "mean": statistics.fmean(values),
        "std": statistics.stdev(values) if len(values) > 1 else None,
        "seconds": cost.seconds,
        "total_seconds": total.seconds,
        "samples_seen": cost.trained_samples + cost.forward_samples,
        "backward_samples": cost.trained_samples,
        "cost_passes": total.passes(len(job.data.train), job.config.training.epochs),
        "budget": arm.budget,
        "equal_cost": [other.name for other in arms if arm.name in other.matches],
        **({"robust": robust} if robust else {}),
        **_errors(arm_errors(job, arm)),
    }


def _errors(errors: list[Errors]) -> dict[str, Any]:
    return {"errors": summary(errors)} if errors else {}


def _reference(errors: Errors) -> dict[str, Any]:
    spent = dict.fromkeys(("seconds", "total_seconds", "samples_seen", "backward_samples", "cost_passes"), 0)
    value = errors["all"]["mae"]
    return {
        "keep": 0.0,
        "epochs": 0,
        "metric": "mae",
        "value": [value],
        "mean": value,
        "std": None,
        "budget": "epochs",
        **spent,
        **_errors([errors]),
    }


def _saving(results: dict[str, _Result]) -> dict[str, Any]:
    full = results.get("full")
    if full is None:
        return {}
    return {
        name: {
            "wall_clock_ratio": result.spent.total.seconds / full.spent.training.seconds,
            "metric_delta": statistics.fmean(result.values) - statistics.fmean(full.values),
        }
        for name, result in results.items()
        if name != "full"
    }
