"""Single jobs: a training of one arm, a seed run with its predictions, and how good these were."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
import torch

from experiments.st_prune.extrapolation import judge, scores_of_seeds, seed_run
from experiments.st_prune.settings import Arm, arms, dynamic_epochs
from experiments.st_prune.training import LossSum, Place, TrainingEnd, linked, train, warm_up
from graphprune.data.base import Data
from graphprune.data.windows import WindowSamples
from graphprune.jobs.stages.windows import window_stationarity
from graphprune.registry import create
from graphprune.runtime.cost import Cost, measure
from graphprune.runtime.rng import derive_seed
from graphprune.samplers.base import EpochSampler
from graphprune.samplers.static import StaticSampler
from graphprune.table import ScoreTable
from graphprune.train.forecast_errors import forecast_errors
from graphprune.train.naive import historical_average, last_value, naive_errors


def run_job(place: Place, name: str, job: str, state: int) -> list[dict[str, Any]]:
    """The result lines of one job; ``job`` is ``naive``, ``seed10``, ``seed20``, ``judge`` or an arm's name.

    ``cpu_seconds`` is what the process computed, on its one thread: for arms and seed runs that of all they needed,
    as ``total_seconds`` and ``seconds`` are on the clock; for the others that of the whole job.
    """
    torch.set_num_threads(1)
    place.work.mkdir(parents=True, exist_ok=True)
    data = place.load(name)
    warm_up(data, place.setting(name))
    begun = time.process_time()
    shared = {"set": name, "job": job, "state": state, "load": os.getloadavg()[0]}
    if job == "naive":
        assert isinstance(data.train, WindowSamples)
        assert isinstance(data.test, WindowSamples)
        forecasts = {
            "last_value": last_value(data.test),
            "historical_average": historical_average(data.train, data.test),
        }
        return [
            {
                **shared,
                "arm": arm,
                "errors": naive_errors(data.test, forecast, data.info),
                "cpu_seconds": time.process_time() - begun,
            }
            for arm, forecast in forecasts.items()
        ]
    if job.startswith("seed"):
        return [{**shared, **seed_run(place, name, data, float(job[4:]) / 100, state)}]
    if job == "judge":
        judged = judge(place, name, data, state)
        return [{**shared, **line, "cpu_seconds": time.process_time() - begun} for line in judged]
    return [{**shared, "arm": job, **_arm(place, name, data, arms()[job], job, state)}]


def _arm(place: Place, name: str, data: Data, arm: Arm, job: str, state: int) -> dict[str, Any]:
    setting, windows, n = place.setting(name), data.train, len(data.train)
    assert isinstance(windows, WindowSamples)
    seed = derive_seed(state, "sampler", job)
    overhead, options, epochs = Cost(), dict(arm.options), float(setting.epochs)
    begun = time.process_time()
    sampler: EpochSampler
    if arm.kind == "static":
        scores, overhead, earlier = scores_of_seeds(place, name, options["scores"], state, n)
        begun -= earlier
        rule = create(
            "selection", options["rule"], **({"drop_hardest": 0.0} if options["rule"] == "ccs" else {})
        )
        cost = Cost()
        with measure(cost):
            kept = rule.select(ScoreTable(data.train.ids, scores, False), arm.budget, seed=seed).ids
        overhead += cost
        left = arm.budget * n * epochs - overhead.trained_samples - overhead.forward_samples / 3
        epochs = max(1.0, left / len(kept))
        rows = torch.from_numpy(np.searchsorted(data.train.ids, kept))
        sampler = StaticSampler(n, rows=rows, epochs=epochs, seed=seed)
    else:
        if arm.kind in ("infobatch", "st_prune"):
            simple = float(np.load(place.file(name, "full", 0))[f"simple_{arm.kind}"])
            anneal = options.get("anneal", True)
            epochs = dynamic_epochs(arm.budget, epochs, options["r"], simple, anneal=anneal)
        elif options["keep"] == 1.0:
            epochs *= arm.budget
        if arm.kind == "st_prune":
            cost = Cost()
            with measure(cost):
                options = {"stationarity": window_stationarity(windows), "links": linked(data), **options}
            overhead += cost
        sampler = create("sampler", arm.kind, n=n, epochs=epochs, seed=seed, **options)
    losses = LossSum()
    scores_too = (
        {"st_complexity": create("score", "st_complexity", links=linked(data))} if job == "full" else {}
    )
    end = TrainingEnd()
    model, result, recorder = train(
        data, setting, sampler, epochs, state, {"loss": losses, **scores_too}, data.train.ids, end
    )
    visits = result.visits.numpy()
    loss = losses.values().numpy() / np.maximum(visits, 1)
    kept_too: dict[str, Any] = {"visits": visits / max(1, epochs), "loss": loss}
    if job == "full":
        complexity = recorder.values()["st_complexity"].numpy()
        kept_too |= {"st_complexity": complexity, "simple_st_prune": (complexity < 0).mean()}
        kept_too |= {"simple_infobatch": (loss < loss.mean()).mean()}
    np.savez(place.file(name, job, state), **kept_too)
    total = overhead + result.cost
    return {
        "budget": arm.budget,
        "epochs": epochs,
        "backward_share": total.trained_samples / (n * setting.epochs),
        "cost_share": total.passes(n, setting.epochs),
        "seconds": result.cost.seconds,
        "total_seconds": total.seconds,
        "cpu_seconds": end.cpu - begun,
        "errors": forecast_errors(model, data.test, data.info),
    }
