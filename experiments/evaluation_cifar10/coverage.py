"""How often the audit's interval holds the truth on CIFAR-10, from the traces of experiments/extrapolation_cifar10.

    python -m experiments.evaluation_cifar10.coverage --runs DIR

Every ordered pair of full runs serves: the first is the begun run, cut after 15, 18, 20 or 24 of 30 epochs, the
second the truth. Predictors are signals of the seed runs and short runs that no full run knows. Writes
results/coverage.json.
"""

from __future__ import annotations

import argparse
import json
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np

from experiments.extrapolation_cifar10.predictors import ranks
from experiments.extrapolation_cifar10.traces import EPOCHS, load, passes_of
from graphprune.evaluation.audit import audit

Array = np.ndarray[Any, Any]
WINDOW = 10
TRACES = {"dynamic_uncertainty_online": "online_p_true", "dynamic_uncertainty": "trace_p_true"}


def prefix_scores(trace: Array) -> Array:
    """Dynamic Uncertainty after every length from WINDOW + 1 epochs on, ``[EPOCHS - WINDOW, N]``."""
    windows = np.stack([trace[k : k + WINDOW].std(axis=0, ddof=1) for k in range(EPOCHS - WINDOW)])
    return np.cumsum(windows, axis=0) / np.arange(1, len(windows) + 1)[:, None]


def signals(folder: Path, state: int) -> dict[str, Array]:
    """Predictions ``[N]`` by name."""
    found = {}
    for name in ("seed20", "rot10"):
        p, entropy = (each[-1] for each in passes_of(load(folder, f"{name}_{state}"), 1))
        found |= {f"{name} 1-p": 1 - p, f"{name} entropy": entropy, f"{name} p(1-p)": p * (1 - p)}
    short = load(folder, f"short6_{state}")
    p = short["online_p_true"][-3:].mean(axis=0)
    found |= {"short6 1-p": 1 - short["online_p_true"].mean(axis=0), "short6 p(1-p)": p * (1 - p)}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=Path, required=True)
    options = parser.parse_args()
    names = sorted(path.stem for path in options.runs.glob("full*.npz"))
    full = {name: load(options.runs, name) for name in names}
    seeds = [np.load(p)["rows"] for p in options.runs.glob("*.npz") if p.name.startswith(("seed", "rot"))]
    unseen = np.setdiff1d(np.arange(full[names[0]]["online_p_true"].shape[1]), np.concatenate(seeds))
    predicted = {
        f"{state} {name}": values[unseen]
        for state in (0, 1)
        for name, values in signals(options.runs, state).items()
    }
    result: dict[str, Any] = {
        "n": len(unseen),
        "full_runs": names,
        "predictors": list(predicted),
        "scores": {},
    }
    for score, trace in TRACES.items():
        prefixes = {name: prefix_scores(run[trace][:, unseen]) for name, run in full.items()}
        for last in (15, 18, 20, 24):
            lengths = [max(WINDOW + 1, round(0.7 * last)), round(0.85 * last), last]
            inside, widths, off, missed = [], [], [], []
            for begun, whole in permutations(names, 2):
                measured = [prefixes[begun][length - WINDOW - 1] for length in lengths]
                for values in predicted.values():
                    found = audit(values, [measured], lengths, EPOCHS, n_bootstrap=20)
                    truth = float(np.corrcoef(ranks(values), ranks(full[whole][score][unseen]))[0, 1])
                    assert found.interval is not None
                    assert found.expected is not None
                    low, high = found.interval
                    inside.append(low <= truth <= high)
                    widths.append(high - low)
                    off.append(abs(found.expected - truth))
                    if not inside[-1]:
                        missed.append(max(low - truth, truth - high))
            result["scores"].setdefault(score, {})[str(last)] = {
                "audits": len(inside),
                "held_the_truth": float(np.mean(inside)),
                "mean_width": float(np.mean(widths)),
                "mean_error_of_expected": float(np.mean(off)),
                "largest_miss": max(missed, default=0.0),
            }
            print(score, last, result["scores"][score][str(last)], flush=True)
    folder = Path(__file__).parent / "results"
    folder.mkdir(exist_ok=True)
    (folder / "coverage.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
