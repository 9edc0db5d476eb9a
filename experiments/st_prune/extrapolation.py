"""Seed runs, what is predicted from them, and how good that is."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from experiments.st_prune.settings import SEED_EPOCHS, SEED_FRACTIONS
from experiments.st_prune.training import CPU, Place, linked, optimization, train
from graphprune.data.base import Data
from graphprune.data.timesplit import clear_of, draw_time_blocks, heldout_blocks
from graphprune.data.windows import WindowSamples
from graphprune.embed.module import embed_samples
from graphprune.evaluation.agreement import evaluate, noise_ceiling
from graphprune.extrapolate.base import EpochSignals, Inputs
from graphprune.graph.knn import KNNGraph
from graphprune.graph.spatiotemporal import spatiotemporal_graph
from graphprune.registry import create
from graphprune.runtime.cost import Cost, measure
from graphprune.runtime.rng import generator
from graphprune.samplers.static import StaticSampler
from graphprune.scores.input_complexity import input_complexity
from graphprune.scores.recorder import Recorder
from graphprune.train.evaluate import record_evaluation
from graphprune.train.paradigms.forecasting import Forecasting

METHODS = ("knn", "gcn", "ridge", "mlp", "sign", "mean", "input_complexity", "short_run")
# The seed model's own errors on every window, scored as they are, and their mean: nothing is fitted.
SEED_MODEL, SEED_LOSS = "seed_model", "seed_loss"
EXTRAPOLATOR = "knn"
Floats = npt.NDArray[np.float32]


def seed_run(place: Place, name: str, data: Data, fraction: float, state: int) -> dict[str, Any]:
    """Train on blocks of time, embed all windows and predict with every method; return what later steps read."""
    setting, windows = place.setting(name), data.train
    assert isinstance(windows, WindowSamples)
    spans = {"window": windows.window, "horizon": windows.horizon, "delay": windows.delay}
    rows = draw_time_blocks(windows.starts, fraction, generator=generator(state, "seeds", fraction), **spans)
    ids = windows.ids[rows]
    epochs = max(1, round(SEED_EPOCHS * setting.epochs))
    sampler = StaticSampler(len(windows), rows=torch.from_numpy(rows), epochs=epochs, seed=state)
    score = create("score", "st_complexity", links=linked(data, ids))
    begun = time.process_time()
    model, result, recorder = train(data, setting, sampler, epochs, state, {"st_complexity": score}, ids)
    measured = recorder.values()["st_complexity"].numpy()
    prepared = Cost(forward_samples=len(windows))
    with measure(prepared):
        embeddings, _ = embed_samples(model, windows, device=CPU, keep_outputs=False)
        graph = spatiotemporal_graph(
            KNNGraph.build(embeddings, min(20, len(windows) - 1), metric="cosine"),
            windows.ids,
            granularity=windows.granularity,
            n_sensors=windows.n_sensors,
            links=windows.series.links,
        )
    trained_cpu = time.process_time() - begun
    own = {
        SEED_MODEL: create("score", "st_complexity", links=linked(data)),
        SEED_LOSS: create("score", "loss"),
    }
    everywhere = Recorder(own, torch.from_numpy(windows.ids), epochs=1)
    paradigm, settings = Forecasting(info=data.info), optimization(setting, epochs)
    record_evaluation(model, windows, paradigm, everywhere, 0, settings, seed=state)
    short = place.file(name, f"full_short@{0.3:.2f}", state)
    inputs = Inputs(
        graph=graph,
        embeddings=embeddings,
        ids=windows.ids,
        input_complexity=torch.from_numpy(input_complexity(windows)),
        short_run=EpochSignals(loss=torch.from_numpy(np.load(short)["loss"])[None])
        if short.exists()
        else None,
    )
    fit, heldout = heldout_blocks(windows.starts[rows], 0.2, generator=generator(state, "held"), **spans)
    found: dict[str, Any] = {"rows": rows, "measured": measured, "heldout": heldout}
    found |= {name: values.numpy() for name, values in everywhere.values().items()}
    seconds, cpu = {}, {}
    for method in setting.methods or METHODS:
        if method == "short_run" and inputs.short_run is None:
            continue
        spent, begun = Cost(), time.process_time()
        with measure(spent):
            found[method] = create("extrapolator", method).fit(inputs, ids, measured).predict()
        cpu[method] = time.process_time() - begun
        half = create("extrapolator", method).fit(inputs, ids[fit], measured[fit]).predict()
        found[f"{method}_heldout"] = half[rows[heldout]]
        seconds[method] = spent.seconds
    total = result.cost + result.evaluation_cost + prepared + Cost(seconds=seconds[EXTRAPOLATOR])
    found |= {"seconds": total.seconds, "trained": total.trained_samples, "forward": total.forward_samples}
    found["cpu_seconds"] = cpu_seconds = trained_cpu + cpu[EXTRAPOLATOR]
    np.savez(place.file(name, f"seed{100 * fraction:.0f}", state), **found)
    cost = total.passes(len(windows), setting.epochs)
    spent_on = {"seconds": total.seconds, "cpu_seconds": cpu_seconds, "method_seconds": seconds}
    return {"seeds": len(rows), "cost_share": cost, **spent_on, "method_cpu_seconds": cpu}


def scores_of_seeds(place: Place, name: str, whose: str, state: int, n: int) -> tuple[Floats, Cost, float]:
    """Scores ``[n]`` that a static arm reads, what they cost, and that in CPU seconds."""
    if whose == "truth":
        runs = [np.load(path)["st_complexity"] for path in _full_runs(place, name, but=state)]
        return np.mean(runs, axis=0), Cost(), 0.0
    run = np.load(place.file(name, f"seed{100 * SEED_FRACTIONS[-1]:.0f}", state))
    method = SEED_MODEL if whose == SEED_MODEL else EXTRAPOLATOR
    cost = Cost(
        seconds=float(run["seconds"]),
        trained_samples=int(run["trained"]),
        forward_samples=int(run["forward"]),
    )
    assert len(run[method]) == n
    return run[method], cost, float(run["cpu_seconds"])


def _full_runs(place: Place, name: str, *, but: int | None = None) -> list[Path]:
    """Traces of full runs, ``but`` for one random state's."""
    every = sorted(place.work.glob(f"{name}-full-*.npz"))
    others = [path for path in every if path != place.file(name, "full", -1 if but is None else but)]
    if not others:
        raise SystemExit("the truth of a random state is the full runs of the others; give more --states")
    return others


def judge(place: Place, name: str, data: Data, state: int) -> list[dict[str, Any]]:
    """Predictions against the mean of all full runs, on windows that are no seeds and on those clear of seeds.

    A window within one span of a seed shares readings with it, so that it is half seen; ``clear`` leaves these
    out.
    """
    windows = data.train
    assert isinstance(windows, WindowSamples)
    runs = [np.load(path)["st_complexity"] for path in _full_runs(place, name)]
    truth = np.mean(runs, axis=0)
    lines = []
    for fraction in SEED_FRACTIONS:
        path = place.file(name, f"seed{100 * fraction:.0f}", state)
        if not path.exists():
            raise SystemExit(
                f"{path} is absent: predictions are judged beside their seed runs; run these first"
            )
        run = np.load(path)
        rows, unseen = run["rows"], np.ones(len(windows), dtype=bool)
        unseen[rows] = False
        clear = clear_of(windows.starts, np.unique(windows.starts[rows]), windows.span)
        ceiling = {
            "seed_vs_full": evaluate(run["measured"], truth[rows], n_bootstrap=0).spearman,
            "full_vs_full": noise_ceiling([r[unseen] for r in runs])["spearman"] if len(runs) > 1 else None,
            "full_runs": len(runs),
        }
        for method in (*METHODS, SEED_MODEL, SEED_LOSS):
            if method not in run:
                continue
            against = {
                "unseen": (run[method][unseen], truth[unseen]),
                "clear": (run[method][clear], truth[clear]),
            }
            if method in METHODS:
                against["heldout"] = run[f"{method}_heldout"], run["measured"][run["heldout"]]
            spearman = {
                where: evaluate(predicted, true, n_bootstrap=0).spearman if len(true) > 2 else None
                for where, (predicted, true) in against.items()
            }
            line = {"fraction": fraction, "method": method, "spearman": spearman, "ceiling": ceiling}
            lines.append({**line, "n": {"unseen": int(unseen.sum()), "clear": int(clear.sum())}})
    return lines
