"""Print the tables of all random states that `analyse` wrote: mean and standard deviation.

python -m experiments.extrapolation_cifar10.tables
"""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any


def spread(values: list[float]) -> str:
    """Mean and, from two values on, standard deviation."""
    mean = f"{statistics.fmean(values):.3f}"
    return mean if len(values) < 2 else f"{mean} ± {statistics.stdev(values):.3f}"


def main() -> None:
    states: list[dict[str, Any]] = [
        json.loads(path.read_text())
        for path in sorted((Path(__file__).parent / "results").glob("state*.json"))
    ]
    for score in states[0]["scores"]:
        ceilings = [state["scores"][score]["ceiling"] for state in states]
        print(f"\n### {score}\n")
        for key, text in (
            ("spearman", "one full run against the other"),
            ("further_run_vs_mean", "a further full run against the mean"),
            ("perfect", "a perfect predictor"),
        ):
            print(f"{text}: {spread([ceiling[key] for ceiling in ceilings])}  ")
        print(
            f"seed20's own scores on its seeds: {spread([s['scores'][score]['seed_run_on_seeds'] for s in states])}\n"
        )
        print(
            "| predictor | cost | Spearman | share of perfect | overlap of the kept half | rot05-r3: auto minus it |"
        )
        print("|---|---|---|---|---|---|")
        tables = [state["scores"][score]["predictors"] for state in states]
        named = [name for name in tables[0] if all(name in table for table in tables)]
        for name in sorted(named, key=lambda n: -statistics.fmean(t[n]["spearman"] for t in tables)):
            rows = [table[name] for table in tables]
            share = [row["spearman"] / c["perfect"] for row, c in zip(rows, ceilings, strict=True)]
            best = [table["rot05-r3: auto"]["minus"].get(name) for table in tables]
            won = "" if None in best else ", ".join(f"{low:+.3f}..{high:+.3f}" for low, high in best)
            print(
                f"| {name} | {rows[0]['cost']:.3f} | {spread([r['spearman'] for r in rows])} "
                f"| {statistics.fmean(share):.2f} | {spread([r['overlap_half'] for r in rows])} | {won} |"
            )


if __name__ == "__main__":
    main()
