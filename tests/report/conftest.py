"""Made-up runs: plausible numbers that were not measured."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphprune.report.html import ReportInput
from graphprune.report.samples import SampleMap

SHORT = {"keep": 1.0, "total_seconds": 14.6, "seconds": 14.6, "cost_passes": 0.72}


def made_up_arm(value: list[float], **more: Any) -> dict[str, Any]:
    spread = float(np.std(value, ddof=1)) if len(value) > 1 else None
    arm = {
        "metric": "accuracy",
        "value": value,
        "mean": float(np.mean(value)),
        "std": spread,
        "budget": "passes",
    }
    return {**arm, "samples_seen": 26_000, "backward_samples": 26_000, **more}


def made_up_training() -> dict[str, Any]:
    return {
        "full": made_up_arm(
            [0.975, 0.978, 0.972], keep=1.0, seconds=20.1, total_seconds=20.1, cost_passes=1.0
        ),
        "random": made_up_arm(
            [0.958, 0.961, 0.955], keep=0.5, seconds=10.2, total_seconds=10.2, cost_passes=0.5
        ),
        "rs2": made_up_arm(
            [0.967, 0.969, 0.962], keep=0.5, seconds=10.3, total_seconds=10.3, cost_passes=0.5
        ),
        "extrapolated": made_up_arm(
            [0.969, 0.971, 0.963], keep=0.5, seconds=10.2, total_seconds=14.8, cost_passes=0.72
        ),
        "oracle_top": made_up_arm(
            [0.971, 0.974, 0.966], keep=0.5, seconds=10.2, total_seconds=14.9, cost_passes=0.72
        ),
        "full_short": made_up_arm([0.973, 0.976, 0.969], **SHORT),
        "random_equal_cost": made_up_arm(
            [0.961, 0.966, 0.960], **{**SHORT, "keep": 0.5, "total_seconds": 14.7}
        ),
        "rs2_equal_cost": made_up_arm([0.970, 0.973, 0.967], **{**SHORT, "keep": 0.5, "total_seconds": 14.5}),
    }


def made_up_agreement(spearman: float, n: int) -> dict[str, Any]:
    overlap = {
        keep: float(keep) + (1 - float(keep)) * 0.8 * spearman for keep in ("0.1", "0.3", "0.5", "0.7")
    }
    interval = [spearman - 0.05, spearman + 0.04]
    shared = {"pearson": spearman + 0.02, "kendall": 0.7 * spearman, "mse": 0.004 * (1 - spearman)}
    return {"n": n, "spearman": spearman, "spearman_ci95": interval, "overlap": overlap, **shared}


def made_up_metrics() -> dict[str, Any]:
    figures = {"knn": (0.71, 0.52), "gcn": (0.81, 0.44), "ridge": (0.66, 0.41), "mlp": (0.69, 0.39)}
    figures |= {"class_mean": (0.35, 0.28), "seed_entropy": (0.42, 0.62)}
    methods = {
        name: {
            "heldout": made_up_agreement(heldout, 72),
            "oracle": made_up_agreement(oracle, 1078),
            "fit_seconds": 0.31,
            "predict_seconds": 0.02,
            "cost_passes": 0.21,
        }
        for name, (heldout, oracle) in figures.items()
    }
    ceiling = {"runs": 2, "seed_vs_full": 0.46, "full_vs_full": 0.84, "perfect": 0.956}
    score = {"ceiling": ceiling, "methods": methods}
    training = made_up_training()
    full = training["full"]
    return {
        "schema": 1,
        "dataset": {"name": "made-up digits", "n": 1437, "fingerprint": "0123456789abcdef01234567"},
        "seeds": {"n": 287, "fraction": 0.2},
        "extrapolation": {"dynamic_uncertainty": score, "tdds": score},
        "training": training,
        "cost": {},
        "saving": {
            name: {
                "wall_clock_ratio": arm["total_seconds"] / full["total_seconds"],
                "metric_delta": arm["mean"] - full["mean"],
            }
            for name, arm in training.items()
        },
    }


def made_up_scatter(n: int = 1078) -> dict[str, Any]:
    random = np.random.default_rng(0)
    scatter: dict[str, Any] = {}
    for score in ("dynamic_uncertainty", "tdds"):
        truth = random.gamma(2.0, 0.05, n)
        scatter[score] = {
            method: {
                "predicted": 0.05 + 0.5 * truth + noise * random.standard_normal(n),
                "truth": truth,
                "std": np.full(n, noise) if method == "knn" else None,
                "kind": "oracle",
                "labels": random.integers(0, 10, n),
            }
            for method, noise in (("knn", 0.02), ("gcn", 0.04), ("mlp", 0.06))
        }
    return scatter


def made_up_samples(n: int = 1437, *, classes: int = 10, images: bool = True) -> SampleMap:
    random = np.random.default_rng(1)
    labels = random.integers(0, classes, n)
    angle = 2 * np.pi * labels / classes
    xy = np.stack([np.cos(angle), np.sin(angle)], 1) + 0.2 * random.standard_normal((n, 2))
    score = random.gamma(2.0, 0.05, n) * (1 + 0.1 * labels)
    measured = random.random(n) < 0.2
    stripes = np.indices((8, 8)).sum(0) % (2 + labels[:, None, None]) == 0
    pictures = random.integers(0, 60, (n, 8, 8)) + 160 * stripes
    return SampleMap(
        ids=np.arange(n),
        scores={"dynamic_uncertainty": score, "tdds": score**2 + 0.01 * random.random(n)},
        measured=measured,
        xy=xy,
        kept={"extrapolated": score > np.median(score)},
        stds={"dynamic_uncertainty": np.where(measured, np.nan, 0.02 * random.random(n))},
        labels=labels,
        class_names=tuple(f"digit {c}" for c in range(classes)),
        images=pictures.astype(np.uint8) if images else None,
    )


def made_up_windows(n: int = 2000) -> SampleMap:
    random = np.random.default_rng(2)
    start = np.arange(n)
    hour, weekday = start // 4 % 24, start // 96 % 7
    rush = np.exp(-((hour - 8) ** 2) / 8) + np.exp(-((hour - 17) ** 2) / 8) * (weekday < 5)
    series = 40 + 60 * rush[:, None] + 8 * random.standard_normal((n, 12)).cumsum(1)
    score = rush + 0.3 * random.random(n)
    return SampleMap(
        ids=7 * start,
        scores={"st_complexity": score},
        measured=start % 5 == 0,
        xy=np.stack([hour + 0.4 * random.standard_normal(n), score], 1),
        kept={"extrapolated": score > 0.4},
        series=series,
        hour=hour,
        weekday=weekday,
    )


def made_up_forecast() -> dict[str, Any]:
    figures = {
        "full": ([20.1, 20.4, 20.2], 61.0, 1.0, 1.0),
        "extrapolated": ([20.5, 20.6, 20.9], 40.0, 0.5, 0.7),
        "full_short": ([20.4, 20.7, 20.5], 42.0, 1.0, 0.7),
        "random_equal_cost": ([20.9, 21.2, 21.0], 41.0, 0.5, 0.7),
        "rs2_equal_cost": ([20.6, 20.7, 20.9], 42.5, 0.5, 0.7),
        "random": ([21.3, 21.6, 21.4], 30.0, 0.5, 0.5),
        "rs2": ([21.0, 21.2, 21.1], 30.5, 0.5, 0.5),
        "last_value": ([23.0], 0.1, None, 0.0),
        "historical_average": ([22.1], 0.2, None, 0.0),
    }
    training = {
        name: made_up_arm(
            values, metric="mae", total_seconds=total, seconds=total, keep=keep, cost_passes=passes
        )
        for name, (values, total, keep, passes) in figures.items()
    }
    methods = {
        name: {
            "heldout": made_up_agreement(r, 150),
            "oracle": None,
            "fit_seconds": 0.1,
            "predict_seconds": 0.1,
        }
        for name, r in (("knn", 0.6), ("mean", 0.0))
    }
    return {
        "dataset": {"name": "made-up traffic", "n": 2000, "fingerprint": "ff"},
        "seeds": {"n": 400, "fraction": 0.2},
        "training": training,
        "extrapolation": {"st_complexity": {"ceiling": None, "methods": methods}},
    }


def made_up_report(**changes: Any) -> ReportInput:
    stages = ("seed_training", "embed", "graph", "extrapolate", "select", "train/full", "train/extrapolated")
    seconds = (4.1, 0.12, 0.08, 1.3, 0.004, 60.3, 30.6)
    content: dict[str, Any] = {
        "metrics": made_up_metrics(),
        "ledger": {
            stage: {
                "seconds": s,
                "peak_mib": 412.0,
                "trained_samples": round(900 * s),
                "forward_samples": 1437,
            }
            for stage, s in zip(stages, seconds, strict=True)
        },
        "config_yaml": "name: digits\nseeds: {fraction: 0.2, draw: stratified}\n",
        "provenance": {
            "versions": {"graphprune": "0.1.0", "torch": "2.13.0", "numpy": "2.4.6"},
            "hardware": {"cpu": "2 cores", "device": "cpu"},
            "git": "8f78bbd",
            "faults": ["made up: every figure on this page was invented for a test"],
            "commands": ["graphprune run configs/digits.yaml --out runs/digits"],
        },
        "scatter": made_up_scatter(),
        "map": made_up_samples(),
        "name": "digits",
    }
    return ReportInput(**{**content, **changes})


@pytest.fixture
def metrics() -> dict[str, Any]:
    return made_up_metrics()


@pytest.fixture
def forecast() -> dict[str, Any]:
    return made_up_forecast()


@pytest.fixture
def make_report() -> Callable[..., ReportInput]:
    return made_up_report


@pytest.fixture
def make_samples() -> Callable[..., SampleMap]:
    return made_up_samples


@pytest.fixture
def make_scatter() -> Callable[..., dict[str, Any]]:
    return made_up_scatter


@pytest.fixture
def windows() -> SampleMap:
    return made_up_windows()
