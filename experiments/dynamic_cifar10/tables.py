"""The tables of what `run` wrote, and accuracy against cost as pictures.

    python -m experiments.dynamic_cifar10.tables [FILE ...] [--cost cpu_seconds]

Prints Markdown; writes FILE.svg beside each (needs matplotlib). At equal cost: a baseline's accuracy is
interpolated linearly in cost between its shares and the full run, for each random state by itself; the
difference is paired by state. What costs more than a full run is held against the full run.
"""

from __future__ import annotations

import argparse
import math
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from experiments.tables import markdown, read_lines, spread

RESULTS = Path(__file__).parent / "results"
COSTS = ("cpu_seconds", "seconds", "passes")
BASELINES = ("full_short", "rs2")
# Two runs of one length differ this much in cost; below it nothing stands to compare with.
SLACK = 0.9

Lines = list[dict[str, Any]]


def family(arm: str) -> str:
    """The name without its setting."""
    return arm.partition("@")[0]


def differences(lines: Lines, arm: str, baseline: str, cost: str) -> list[float]:
    """The arm's accuracy minus the baseline's at the arm's cost, one for each state that has both.

    >>> runs = [("full_short@0.5", 5, 0.7), ("full", 10, 0.8), ("es@0.5", 6, 0.75), ("jest@0.5", 11, 0.75)]
    >>> lines = [{"arm": a, "state": 0, "passes": c, "accuracy": v} for a, c, v in runs]
    >>> [round(differences(lines, arm, "full_short", "passes")[0], 6) for arm in ("es@0.5", "jest@0.5")]
    [0.03, -0.05]
    """
    found: list[float] = []
    if arm == "full" or family(arm) == baseline:
        return found
    for line in (each for each in lines if each["arm"] == arm):
        paired = [each for each in lines if each["state"] == line["state"]]
        curve = sorted(
            (each[cost], each["accuracy"]) for each in paired if family(each["arm"]) in (baseline, "full")
        )
        if len(curve) > 1 and line[cost] >= SLACK * curve[0][0]:
            found.append(line["accuracy"] - float(np.interp(line[cost], *zip(*curve, strict=True))))
    return found


def verdict(differences: list[float]) -> str:
    """In words, where the mean difference lies beyond twice its standard error.

    >>> verdict([0.01, 0.012, 0.011]), verdict([0.01, -0.012, 0.001]), verdict([-0.01, -0.012])
    ('beats', 'ties', 'loses')
    """
    if len(differences) < 2:
        return ""
    mean, error = statistics.fmean(differences), statistics.stdev(differences) / math.sqrt(len(differences))
    if abs(mean) <= 2 * error:
        return "ties"
    return "beats" if mean > 0 else "loses"


def table(lines: Lines, cost: str) -> str:
    """One row per arm, best accuracy first."""
    header = ["arm", "n", "accuracy", cost.replace("_", " "), "cost in full runs", "backward passes"]
    header += [part for baseline in BASELINES for part in (f"minus {baseline} at equal cost", "")]
    full = statistics.fmean(line[cost] for line in lines if line["arm"] == "full")
    rows = []
    for arm, own in by_arm(lines).items():
        mean = statistics.fmean(line[cost] for line in own)
        row = [arm, str(len(own)), spread([line["accuracy"] for line in own], 4)]
        row += [f"{mean:.{2 if cost == 'passes' else 0}f}", f"{mean / full:.2f}"]
        row += [f"{statistics.fmean(line['backward'] for line in own):.2f}"]
        for baseline in BASELINES:
            found = differences(lines, arm, baseline, cost)
            row += [spread(found, 4, sign=True), verdict(found)]
        rows.append(row)
    return markdown(header, rows)


def by_arm(lines: Lines) -> dict[str, Lines]:
    """The lines of each arm, best mean accuracy first."""
    arms = {line["arm"]: [other for other in lines if other["arm"] == line["arm"]] for line in lines}
    return dict(
        sorted(arms.items(), key=lambda item: -statistics.fmean(line["accuracy"] for line in item[1]))
    )


def draw(lines: Lines, cost: str, path: Path) -> None:
    """Mean accuracy ± standard deviation against mean cost; the baselines as lines that end at the full run."""
    from matplotlib import pyplot

    figure, panel = pyplot.subplots(figsize=(9, 6), layout="constrained")
    points: dict[str, list[tuple[float, float, float, str]]] = {}
    for arm, own in by_arm(lines).items():
        values = [line["accuracy"] for line in own]
        error = statistics.stdev(values) if len(values) > 1 else 0.0
        point = statistics.fmean(line[cost] for line in own), statistics.fmean(values), error, arm
        for name in BASELINES if arm == "full" else (family(arm),):
            points.setdefault(name, []).append(point)
    for number, (name, found) in enumerate(sorted(points.items())):
        x, y, errors, arms = zip(*sorted(found), strict=True)
        style = "o-" if name in BASELINES else "s^"[number // 10]
        panel.errorbar(
            x, y, errors, fmt=style, color=f"C{number}", alpha=0.8, markersize=4, capsize=2, label=name
        )
        for arm, *where in zip(arms, x, y, strict=True):
            panel.annotate(arm, where, (4, 3), textcoords="offset points", fontsize=6, color=f"C{number}")
    states = len({line["state"] for line in lines})
    panel.set(
        xlabel=f"{cost.replace('_', ' ')}, all overheads in",
        ylabel=f"test accuracy (n = {states} random states)",
    )
    panel.legend(fontsize=7, loc="lower right")
    figure.savefig(path, metadata={"Date": None})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("files", type=Path, nargs="*", help="Default: results/clean.jsonl and noisy.jsonl.")
    parser.add_argument("--cost", choices=COSTS, default=COSTS[0])
    options = parser.parse_args()
    for path in options.files or [RESULTS / f"{case}.jsonl" for case in ("clean", "noisy")]:
        lines = read_lines(path)
        if not any(line["arm"] == "full" for line in lines):
            print(f"{path}: no full run yet, so nothing to compare with")
            continue
        print(f"\n### {path.stem}\n\n{table(lines, options.cost)}")
        draw(lines, options.cost, path.with_suffix(".svg"))


if __name__ == "__main__":
    main()
