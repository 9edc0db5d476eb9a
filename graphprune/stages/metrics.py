"""Gather what the stages found into the metrics of a run."""

from __future__ import annotations

import statistics
from typing import Any

from graphprune.files import read_json
from graphprune.ledger import Cost
from graphprune.report.learning import judge_seed_run, judge_training
from graphprune.report.verdict import verdict
from graphprune.stages.arms import Arm, ArmResult
from graphprune.stages.evaluate import read_evaluation
from graphprune.stages.forecasts import arm_errors, summary
from graphprune.stages.job import Job
from graphprune.stages.learned import majority_share, seed_run_metric
from graphprune.stages.methods import is_control
from graphprune.stages.overhead import inputs_cost
from graphprune.train.forecast_errors import Errors

Trained = list[tuple[Arm, ArmResult]]


def collect_metrics(
    job: Job, trained: Trained, references: dict[str, Errors], ledger: dict[str, Cost], n_seeds: int
) -> dict[str, Any]:
    """The content of ``metrics.json``; ``references`` are forecasts that need no training, by name."""
    n = len(job.data.train)
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
            **{arm.name: _training(job, arm, result, trained) for arm, result in trained},
        },
        "cost": {name: {"seconds": c.seconds, "peak_mib": c.peak_mib} for name, c in sorted(ledger.items())},
        "saving": _saving(trained),
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
    for score, judgement in judged.items():
        for method, result in judgement["methods"].items():
            name = f"extrapolate/{score}/{method}"
            costs = job.run.costs(name)
            result["fit_seconds"] = costs[f"{name}/fit"].seconds
            result["predict_seconds"] = costs[f"{name}/predict"].seconds
            result["cost_passes"] = inputs_cost(job, score, method).passes(n, epochs)
            result["control"] = is_control(method)
    return judged


def _training(job: Job, arm: Arm, result: ArmResult, trained: Trained) -> dict[str, Any]:
    total = result.total(arm)
    reports = [read_json(job.run / f"arms/{arm.name}/{s}.json") for s in job.config.training.random_states]
    visited = result.cost.trained_samples / (len(job.data.train) * arm.epochs)
    return {
        "keep": visited if arm.keep is None else arm.keep,
        "epochs": arm.epochs,
        "metric": reports[0]["metric"],
        "value": list(result.values),
        "mean": statistics.fmean(result.values),
        "std": statistics.stdev(result.values) if len(result.values) > 1 else None,
        "seconds": result.cost.seconds,
        "total_seconds": total.seconds,
        "samples_seen": result.cost.trained_samples + result.cost.forward_samples,
        "backward_samples": result.cost.trained_samples,
        "cost_passes": total.passes(len(job.data.train), job.config.training.epochs),
        "budget": arm.budget,
        "equal_cost": [other.name for other, _ in trained if arm.name in other.matches],
        **({"robust": [report["robust"] for report in reports]} if "robust" in reports[0] else {}),
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


def _saving(trained: Trained) -> dict[str, Any]:
    full = next((result for arm, result in trained if arm.name == "full"), None)
    if full is None:
        return {}
    return {
        arm.name: {
            "wall_clock_ratio": result.total(arm).seconds / full.cost.seconds,
            "metric_delta": statistics.fmean(result.values) - statistics.fmean(full.values),
        }
        for arm, result in trained
        if arm.name != "full"
    }
