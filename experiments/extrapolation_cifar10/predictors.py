"""Every predictor of one random state, with what it costs."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from experiments.extrapolation_cifar10.traces import (
    EPOCHS,
    PASS,
    Array,
    Trace,
    crossfitted,
    load,
    looks_of,
    passes_of,
    target,
)
from graphprune.evaluation.bootstrap import Ranking
from graphprune.extrapolate.auto import rank_by_group
from graphprune.extrapolate.base import Inputs
from graphprune.extrapolate.features import disagreement
from graphprune.graph.features import one_hot
from graphprune.graph.knn import KNNGraph
from graphprune.registry import create

# Seed runs, with the share of a full run that their training takes.
SEED_RUNS = {"seed20": 0.2, "seed10": 0.1, "rot10": 0.2, "rot05-r3": 0.2}
CROSSFITTED = "halves of seed20"
SHORT_RUNS = ("short6", "short3")
# Everything registered that fits; `NETWORKS` take minutes each and run on request.
Methods = dict[str, tuple[str, dict[str, Any]]]
FITTED: Methods = {
    "class_mean": ("class_mean", {}),
    "ridge": ("ridge", {}),
    "mlp": ("mlp", {}),
    "knn": ("knn", {}),
    "label_propagation": ("label_propagation", {}),
    "pprgo": ("pprgo", {}),
    "sign": ("sign", {}),
    "sign, normalised embeddings": ("sign", {"normalize": True}),
    "sign, ranking loss": ("sign", {"loss": "rank"}),
    "ensemble": ("ensemble", {}),
}
NETWORKS: Methods = {
    "gcn": ("gcn", {}),
    "gcn, normalised embeddings": ("gcn", {"normalize": True}),
    "sage": ("sage", {}),
    "gat": ("gat", {}),
}


@dataclass(frozen=True)
class Predicted:
    """Predictions ``[N]``, all they cost in full runs, and the CPU seconds of the fit alone."""

    values: Array
    cost: float
    fit_seconds: float = 0.0


def ranks(values: Array) -> Array:
    """Centred ranks ``[N]`` float64."""
    return Ranking(values.astype(np.float64)).centered_ranks(np.ones(len(values)))


def inputs_of(run: Trace, name: str) -> Inputs:
    """What extrapolators are given after this seed run."""
    embeddings = torch.from_numpy(run["embeddings"])
    graph = KNNGraph.build(embeddings, 20, metric="cosine")
    return Inputs(graph, embeddings, labels=torch.from_numpy(run["labels"]), seed_run=looks_of(run, name))


def networks(folder: Path, state: int, score: str, names: Sequence[str]) -> dict[str, Predicted]:
    """Some of `NETWORKS` after seed20, and `auto` after rot05-r3 to compare with."""
    best = load(folder, f"rot05-r3_{state}")
    looks = _with_looks("rot05-r3", best, inputs_of(best, "rot05-r3"), score, 0.2 + 4 * PASS, state)
    run = load(folder, f"seed20_{state}")
    chosen = {name: NETWORKS[name] for name in names}
    fits = _fits("seed20", run, inputs_of(run, "seed20"), score, 0.2 + PASS, chosen)
    return {"rot05-r3: auto": looks["rot05-r3: auto"], **fits}


def predictors(folder: Path, state: int, score: str) -> dict[str, Predicted]:
    """All predictors whose trainings were collected, by name."""
    found: dict[str, Predicted] = {}
    for name, share in SEED_RUNS.items():
        if not (folder / f"{name}_{state}.npz").exists():
            continue
        run = load(folder, f"{name}_{state}")
        inputs = inputs_of(run, name)
        found |= _with_looks(name, run, inputs, score, share + 4 * PASS, state)
        if name.startswith("seed"):
            found |= _fits(name, run, inputs, score, share + PASS, FITTED)
            found |= _unfitted(name, run, inputs, found[f"{name}: knn"].values, share + PASS)
    halves = [folder / f"seed20{half}_{state}.npz" for half in "ab"]
    if all(path.exists() for path in halves):
        run = crossfitted((load(folder, halves[0].stem), load(folder, halves[1].stem)))
        found |= _with_looks(CROSSFITTED, run, inputs_of(run, CROSSFITTED), score, 0.2 + 8 * PASS, state)
    for name in SHORT_RUNS:
        if (folder / f"{name}_{state}.npz").exists():
            found |= _of_short_run(name, load(folder, f"{name}_{state}"))
    return found


def fitted_on_truth(folder: Path, state: int, truth: Array, unseen: Array) -> Array:
    """Predictions for half of ``unseen`` by a regression on the truth of the other half: what the looks hold.

    It sees the looks of seed20 and of short6 together. NaN where it was fitted.
    """
    seed_run, short = load(folder, f"seed20_{state}"), load(folder, f"short6_{state}")
    p, entropy = passes_of(seed_run, 3)
    columns = torch.from_numpy(
        np.concatenate([p, entropy, short["trace_p_true"], short["online_p_true"], short["trace_entropy"]]).T
    )
    half = np.random.default_rng(state).permutation(unseen)[: len(unseen) // 2]
    fitted = _trees(columns, torch.from_numpy(seed_run["labels"]), half, truth)
    values = np.full(len(truth), np.nan)
    rest = np.setdiff1d(unseen, half)
    values[rest] = fitted[rest]
    return values


def _with_looks(
    name: str, run: Trace, inputs: Inputs, score: str, cost: float, state: int
) -> dict[str, Predicted]:
    """`auto`, and its fit alone: on the looks as they are, and on their ranks within seeds and others."""
    rows, scores = run["rows"], target(run, score)
    looks = inputs.seed_run
    assert looks is not None
    assert looks.p_true is not None
    assert looks.entropy is not None
    columns = torch.cat([looks.p_true, looks.entropy]).T
    is_seed = torch.zeros(len(columns), dtype=torch.bool)
    is_seed[torch.from_numpy(rows)] = True
    everyone = np.full(len(columns), np.nan)
    everyone[rows] = scores
    assert inputs.labels is not None
    labels = inputs.labels
    return {
        f"{name}: auto": _timed(
            cost, lambda: create("extrapolator", "auto", seed=state).fit(inputs, rows, scores).predict()
        ),
        f"{name}: fit on looks": _timed(cost, lambda: _trees(columns, labels, rows, everyone)),
        f"{name}: fit on ranked looks": _timed(
            cost, lambda: _trees(rank_by_group(columns, is_seed), labels, rows, everyone)
        ),
    }


def _fits(
    name: str, run: Trace, inputs: Inputs, score: str, cost: float, methods: Methods
) -> dict[str, Predicted]:
    rows, scores = run["rows"], target(run, score)
    found = {}
    for label, (method, options) in methods.items():
        extrapolator = create("extrapolator", method, **options)
        found[f"{name}: {label}"] = _timed(
            cost, lambda extrapolator=extrapolator: extrapolator.fit(inputs, rows, scores).predict()
        )
    return found


def _unfitted(name: str, run: Trace, inputs: Inputs, knn: Array, cost: float) -> dict[str, Predicted]:
    p, entropy = (each[0] for each in passes_of(run, 1))
    values = {
        "seed_confidence": 1 - p,
        "seed_entropy": entropy,
        "p(1-p)": p * (1 - p),
        "label_disagreement": disagreement(inputs).numpy(),
        "rank_sum": ranks(entropy) + ranks(1 - p) + ranks(knn),
    }
    return {f"{name}: {label}": Predicted(each, cost) for label, each in values.items()}


def _of_short_run(name: str, run: Trace) -> dict[str, Predicted]:
    share = int(name.removeprefix("short")) / EPOCHS
    p, online = run["trace_p_true"], run["online_p_true"]
    mean = np.concatenate([p[-2:], online[-3:]]).mean(axis=0)
    return {
        f"{name}: 1-p online (short_run)": Predicted(1 - online.mean(axis=0), share),
        f"{name}: 1-p last pass": Predicted(1 - p[-1], share + PASS),
        f"{name}: entropy last pass": Predicted(run["trace_entropy"][-1], share + PASS),
        f"{name}: p(1-p), mean of 5 looks": Predicted(mean * (1 - mean), share + 2 * PASS),
    }


def _trees(columns: Tensor, labels: Tensor, rows: Array, scores: Array) -> Array:
    """The regression inside `auto`, fitted to the ranks of ``scores [N]`` at ``rows``."""
    from sklearn.ensemble import ExtraTreesRegressor

    features = torch.cat([columns.nan_to_num(0.5), one_hot(labels, len(labels))], dim=1).numpy()
    fit = ExtraTreesRegressor(200, min_samples_leaf=10, max_features=0.5, random_state=0)
    return fit.fit(features[rows], ranks(scores[rows])).predict(features)


def _timed(cost: float, fit: Any) -> Predicted:
    start = time.process_time()
    values = fit()
    return Predicted(values, cost, time.process_time() - start)
