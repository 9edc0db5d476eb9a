"""How often intervals of a bootstrap hold the true correlation of overlapping windows: single rows beside blocks.

python -m experiments.evaluation_windows.coverage
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from graphprune.evaluation.agreement import evaluate

SPAN, REPETITIONS, RESAMPLES = 24, 300, 300
BLOCKS = (1, SPAN, 2 * SPAN)


def coverage(n: int, correlation: float) -> dict[str, Any]:
    """Share of simulations whose 95 % interval holds the truth, by block.

    Two series of normal readings that correlate step by step; a window's value is the sum of its ``SPAN`` readings,
    so that windows correlate as readings do, and neighbours share all readings but one.
    """
    truth = 6 / np.pi * np.arcsin(correlation / 2)  # Spearman's of two normal variables
    held = dict.fromkeys(BLOCKS, 0)
    for repetition in range(REPETITIONS):
        readings = np.random.default_rng(repetition).normal(size=(2, n + SPAN - 1))
        readings[1] = correlation * readings[0] + np.sqrt(1 - correlation**2) * readings[1]
        predicted, true = (np.convolve(series, np.ones(SPAN), "valid") for series in readings)
        for block in BLOCKS:
            found = evaluate(predicted, true, n_bootstrap=RESAMPLES, block=block).spearman_ci95
            assert found is not None
            held[block] += int(found[0] <= truth <= found[1])
    shares = {str(block): count / REPETITIONS for block, count in held.items()}
    return {"windows": n, "correlation": correlation, "held": shares}


def main() -> None:
    found = [coverage(n, correlation) for n in (600, 1600) for correlation in (0.0, 0.7)]
    for each in found:
        print(each, flush=True)
    path = Path(__file__).parent / "results/coverage.json"
    path.parent.mkdir(exist_ok=True)
    settings = {"span": SPAN, "repetitions": REPETITIONS, "resamples": RESAMPLES}
    path.write_text(json.dumps({**settings, "found": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
