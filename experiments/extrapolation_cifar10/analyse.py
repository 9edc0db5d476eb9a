"""Judge every predictor against the mean of two full runs, from the traces that `collect` kept.

    python -m experiments.extrapolation_cifar10.analyse --runs DIR --state 0 --truth full0_0 full1_0 --out results

Writes state<S>.json into ``--out``: per score the ceilings, and per predictor its cost in full runs, Spearman with
a 95 % bootstrap interval on the samples that are a seed of no setting, overlap of the kept half, and for each
``auto`` the paired difference to every other predictor. ``tables.py`` prints the table of all states.
``--networks gcn sage`` adds networks, which take minutes each, to the state that is there.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from experiments.extrapolation_cifar10.predictors import (
    NETWORKS,
    Predicted,
    fitted_on_truth,
    inputs_of,
    networks,
    predictors,
)
from experiments.extrapolation_cifar10.traces import SCORES, Array, load, target
from graphprune.evaluation.agreement import noise_ceiling, overlap
from graphprune.evaluation.bootstrap import Ranking, pearson, resamples
from graphprune.registry import create

RESAMPLES = 100


def spearman(a: Array, b: Array) -> float:
    """Spearman's correlation of two vectors ``[N]``."""
    ones = np.ones(len(a))
    first, second = (Ranking(each.astype(np.float64)).centered_ranks(ones) for each in (a, b))
    return float(pearson(first, second, ones))


def judge(found: dict[str, Predicted], truth: Array, unseen: Array, seed: int) -> dict[str, Any]:
    """Figures of every predictor on the same samples and the same resamples."""
    rankings = {name: Ranking(each.values[unseen].astype(np.float64)) for name, each in found.items()}
    reference = Ranking(truth[unseen].astype(np.float64))

    def spearmans(weights: Array) -> dict[str, float]:
        true = reference.centered_ranks(weights)
        return {name: pearson(each.centered_ranks(weights), true, weights) for name, each in rankings.items()}

    exact = spearmans(np.ones(len(unseen)))
    drawn = [spearmans(weights) for weights in resamples(len(unseen), RESAMPLES, seed)]
    judged = {}
    for name, each in found.items():
        judged[name] = {
            "cost": each.cost,
            "fit_cpu_seconds": each.fit_seconds,
            "spearman": exact[name],
            "ci95": np.quantile([draw[name] for draw in drawn], [0.025, 0.975]).tolist(),
            "overlap_half": overlap(each.values[unseen], truth[unseen], 0.5),
        }
        if name.endswith(": auto"):
            judged[name]["minus"] = {
                other: np.quantile([draw[name] - draw[other] for draw in drawn], [0.025, 0.975]).tolist()
                for other in found
                if other != name
            }
    return judged


def ensemble_coverage(folder: Path, state: int, score: str) -> float:
    """Share of held-out seeds (a fifth) inside the ensemble's 90 % intervals."""
    run = load(folder, f"seed20_{state}")
    scores, shuffled = target(run, score), np.random.default_rng(state).permutation(len(run["rows"]))
    fitted, held = np.sort(shuffled[len(shuffled) // 5 :]), shuffled[: len(shuffled) // 5]
    inputs = inputs_of(run, "seed20")
    ensemble = create("extrapolator", "ensemble", seed=state).fit(inputs, run["rows"][fitted], scores[fitted])
    values, std = ensemble.predict(return_std=True)
    rows = run["rows"][held]
    return float(np.mean(np.abs(values[rows] - scores[held]) <= 1.6449 * std[rows]))


def add_networks(
    path: Path, folder: Path, names: list[str], full: list[dict[str, Array]], unseen: Array
) -> None:
    """Judges networks on the samples and resamples of the other predictors and adds them to the file."""
    result = json.loads(path.read_text())
    state = int(path.stem.removeprefix("state"))
    found: dict[str, Predicted] = {}
    for score in SCORES:
        truth = np.mean([run[score] for run in full], axis=0)
        if score != "dynamic_uncertainty_online":
            found = networks(folder, state, score, names)
        judged = judge(found, truth, unseen, state)
        table = result["scores"][score]["predictors"]
        table["rot05-r3: auto"]["minus"].update(judged.pop("rot05-r3: auto")["minus"])
        table.update(judged)
        print(score, {name: round(each["spearman"], 3) for name, each in judged.items()}, flush=True)
    path.write_text(json.dumps(result, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--state", type=int, required=True)
    parser.add_argument(
        "--truth", nargs=2, required=True, help="names of two full runs, such as full0_0 full1_0"
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    parser.add_argument(
        "--networks",
        nargs="+",
        choices=list(NETWORKS),
        metavar="NAME",
        help="Add these to the existing results. Without this option all results are recomputed, without the networks.",
    )
    options = parser.parse_args()
    folder, state = options.runs, options.state
    full = [load(folder, name) for name in options.truth]
    files = sorted(folder.glob(f"*_{state}.npz"))
    seeds = [np.load(path)["rows"] for path in files if path.name.startswith(("seed", "rot"))]
    unseen = np.setdiff1d(np.arange(len(full[0]["labels"])), np.concatenate(seeds))
    written = options.out / f"state{state}.json"
    if options.networks:
        add_networks(written, folder, options.networks, full, unseen)
        return
    result: dict[str, Any] = {
        "n": len(unseen),
        "truth": options.truth,
        "accuracy": {path.stem: float(np.load(path)["accuracy"]) for path in files},
        "scores": {},
    }
    seed_run = load(folder, f"seed20_{state}")
    found: dict[str, Predicted] = {}
    for score in SCORES:
        truth = np.mean([run[score] for run in full], axis=0)
        if score != "dynamic_uncertainty_online":  # whose seeds' target is that of the official score
            found = predictors(folder, state, score)
        bound = fitted_on_truth(folder, state, truth, unseen)
        judged = ~np.isnan(bound)
        result["scores"][score] = {
            "ceiling": noise_ceiling([run[score][unseen] for run in full]),
            "seed_run_on_seeds": spearman(target(seed_run, score), truth[seed_run["rows"]]),
            "fitted_on_truth": spearman(bound[judged], truth[judged]),
            "ensemble_coverage": ensemble_coverage(folder, state, score),
            "predictors": judge(found, truth, unseen, state),
        }
        table = result["scores"][score]["predictors"]
        print(score, {name: round(each["spearman"], 3) for name, each in table.items()}, flush=True)
    options.out.mkdir(parents=True, exist_ok=True)
    written.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
