"""Judge every predictor against the mean of two full runs, from the traces that `collect` kept.

    python -m experiments.extrapolation_cifar10.analyse --labels cifar10_train.parquet --runs DIR --state 0 \
        --truth full0_0 full1_0

Writes results/state<S>.json: per score the ceilings, and per predictor its cost in full runs, Spearman with a 95 %
bootstrap interval on the samples that are a seed of no setting, overlap of the kept half, and for `auto` the paired
difference to every other predictor. ``tables.py`` prints the table of all states.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

from graphprune.extrapolate.base import Inputs, Looks
from graphprune.extrapolate.bootstrap import Ranking, pearson, resamples
from graphprune.extrapolate.evaluate import noise_ceiling, overlap
from graphprune.extrapolate.features import disagreement
from graphprune.graph.knn import KNNGraph
from graphprune.registry import create

RESULTS = Path(__file__).parent / "results"
SCORES = ("dynamic_uncertainty", "dynamic_uncertainty_online", "tdds")
FITTED = ("knn", "sign", "ridge", "mlp")
EPOCHS, RESAMPLES = 30, 100
# One un-augmented pass over all samples, in full runs: a third of an epoch.
PASS = 1 / (3 * EPOCHS)
Array = np.ndarray[Any, Any]


def load(folder: Path, name: str) -> dict[str, Array]:
    with np.load(folder / f"{name}.npz", allow_pickle=False) as arrays:
        return {
            key: arrays[key].astype(np.float32) if arrays[key].dtype == np.float16 else arrays[key]
            for key in arrays
        }


def passes_of(run: dict[str, Array], count: int) -> tuple[Array, Array]:
    """True-label probabilities and entropies ``[count, N]`` of the last evaluation passes."""
    made = ~np.isnan(run["trace_p_true"][:, 0])
    return run["trace_p_true"][made][-count:], run["trace_entropy"][made][-count:]


def last_visits(trace: Array, visits: int) -> Array:
    """The last training visits ``[visits, N]`` of a trace ``[E, N]`` with NaN where there was none."""
    order = np.argsort(np.isnan(trace), axis=0, kind="stable")
    counts = (~np.isnan(trace)).sum(axis=0)
    rows = np.stack([np.clip(counts - 1 - back, 0, None) for back in reversed(range(visits))])
    found = np.take_along_axis(np.take_along_axis(trace, order, axis=0), rows, axis=0)
    missing = np.stack([counts <= back for back in reversed(range(visits))])
    return np.where(missing, np.nan, found)


def target(run: dict[str, Array], score: str) -> Array:
    """The seeds' scores; a seed run records online, so the online score stands in for the official one."""
    return run["tdds" if score == "tdds" else "dynamic_uncertainty_online"]


def ranks(values: Array) -> Array:
    return Ranking(values.astype(np.float64)).centred_ranks(np.ones(len(values)))


def predictors(folder: Path, state: int, labels: torch.Tensor, score: str) -> dict[str, tuple[float, Array]]:
    """Cost in full runs and predictions ``[N]`` by name."""
    found: dict[str, tuple[float, Array]] = {}
    for name, share in (("seed20", 0.2), ("seed10", 0.1), ("rot10", 0.2), ("rot05-r3", 0.2)):
        if not (folder / f"{name}_{state}.npz").exists():
            continue
        run = load(folder, f"{name}_{state}")
        embeddings = torch.from_numpy(run["embeddings"])
        inputs = Inputs(
            KNNGraph.build(embeddings, 20, metric="cosine"),
            embeddings,
            labels=labels,
            seed_run=looks_of(run, name),
        )
        rows, scores = run["rows"], target(run, score)
        auto = create("extrapolator", "auto", seed=state).fit(inputs, rows, scores).predict()
        found[f"{name}: auto"] = (share + 4 * PASS, auto)
        if name.startswith("rot"):
            continue
        p, entropy = (each[0] for each in passes_of(run, 1))
        for method in FITTED:
            extrapolator = create("extrapolator", method)
            found[f"{name}: {method}"] = (share + PASS, extrapolator.fit(inputs, rows, scores).predict())
        knn = found[f"{name}: knn"][1]
        found[f"{name}: seed_confidence"] = (share + PASS, 1 - p)
        found[f"{name}: seed_entropy"] = (share + PASS, entropy)
        found[f"{name}: p(1-p)"] = (share + PASS, p * (1 - p))
        found[f"{name}: label_disagreement"] = (share + PASS, disagreement(inputs).numpy())
        found[f"{name}: rank_sum"] = (share + PASS, ranks(entropy) + ranks(1 - p) + ranks(knn))
    for name in ("short6", "short3"):
        if not (folder / f"{name}_{state}.npz").exists():
            continue
        run, share = load(folder, f"{name}_{state}"), int(name[5:]) / EPOCHS
        p, online = run["trace_p_true"], run["online_p_true"]
        mean = np.concatenate([p[-2:], online[-3:]]).mean(axis=0)
        found[f"{name}: 1-p online (short_run)"] = (share, 1 - online.mean(axis=0))
        found[f"{name}: 1-p last pass"] = (share + PASS, 1 - p[-1])
        found[f"{name}: entropy last pass"] = (share + PASS, run["trace_entropy"][-1])
        found[f"{name}: p(1-p), mean of 5 looks"] = (share + 2 * PASS, mean * (1 - mean))
    return found


def looks_of(run: dict[str, Array], name: str) -> Looks:
    """Three passes, and with a background the last two training visits."""
    p, entropy = passes_of(run, 3)
    if name.startswith("rot"):
        p = np.concatenate([last_visits(run["online_p_true"], 2), p])
        entropy = np.concatenate([last_visits(run["online_entropy"], 2), entropy])
    return Looks(p_true=torch.from_numpy(p), entropy=torch.from_numpy(entropy))


def judge(found: dict[str, tuple[float, Array]], truth: Array, seed: int) -> dict[str, Any]:
    """Figures of every predictor on the same samples and the same resamples."""
    rankings = {name: Ranking(values.astype(np.float64)) for name, (_, values) in found.items()}
    of_truth, n = Ranking(truth.astype(np.float64)), len(truth)

    def spearmans(weights: Array) -> dict[str, float]:
        reference = of_truth.centred_ranks(weights)
        return {
            name: pearson(each.centred_ranks(weights), reference, weights) for name, each in rankings.items()
        }

    exact = spearmans(np.ones(n))
    drawn = [spearmans(weights) for weights in resamples(n, RESAMPLES, seed)]
    judged = {}
    for name, (cost, values) in found.items():
        interval = np.quantile([draw[name] for draw in drawn], [0.025, 0.975]).tolist()
        judged[name] = {
            "cost": cost,
            "spearman": exact[name],
            "ci95": interval,
            "overlap_half": overlap(values, truth, 0.5),
        }
        if name.endswith(": auto"):
            judged[name]["minus"] = {
                other: np.quantile([draw[name] - draw[other] for draw in drawn], [0.025, 0.975]).tolist()
                for other in found
                if other != name
            }
    return judged


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--runs", type=Path, required=True)
    parser.add_argument("--state", type=int, required=True)
    parser.add_argument(
        "--truth", nargs=2, required=True, help="names of two full runs, such as full0_0 full1_0"
    )
    options = parser.parse_args()
    labels = pq.read_table(options.labels, columns=["label"])["label"].to_numpy()
    full = [load(options.runs, name) for name in options.truth]
    seeds = [
        np.load(path)["rows"]
        for path in options.runs.glob(f"*_{options.state}.npz")
        if path.name[:3] in ("see", "rot")
    ]
    unseen = np.setdiff1d(np.arange(len(labels)), np.concatenate(seeds))
    result: dict[str, Any] = {
        "n": len(unseen),
        "truth": options.truth,
        "accuracy": {
            path.stem: float(np.load(path)["accuracy"])
            for path in sorted(options.runs.glob(f"*_{options.state}.npz"))
        },
        "scores": {},
    }
    for score in SCORES:
        truth = np.mean([run[score] for run in full], axis=0)
        if score != "dynamic_uncertainty_online":  # whose seeds' target is that of the official score
            found = predictors(options.runs, options.state, torch.from_numpy(labels), score)
        seed_run = load(options.runs, f"seed20_{options.state}")
        on_seeds = (
            Ranking(target(seed_run, score).astype(np.float64)),
            Ranking(truth[seed_run["rows"]].astype(np.float64)),
        )
        ones = np.ones(len(seed_run["rows"]))
        result["scores"][score] = {
            "ceiling": noise_ceiling([run[score][unseen] for run in full]),
            "seed_run_on_seeds": pearson(*(ranking.centred_ranks(ones) for ranking in on_seeds), ones),
            "predictors": judge(
                {name: (cost, values[unseen]) for name, (cost, values) in found.items()},
                truth[unseen],
                options.state,
            ),
        }
        print(
            score,
            json.dumps(
                {
                    name: round(each["spearman"], 3)
                    for name, each in result["scores"][score]["predictors"].items()
                },
                indent=1,
            ),
            flush=True,
        )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"state{options.state}.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
