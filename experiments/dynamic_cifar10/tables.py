"""The tables of what `run` wrote, and accuracy against cost as pictures.

    python -m experiments.dynamic_cifar10.tables [FILE ...] [--cost cpu_seconds]

Prints Markdown; writes FILE.svg beside each (needs matplotlib). "At equal cost": see `experiments.equal_cost`.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

from experiments.equal_cost import BASELINES, Run, by_arm, differences, draw, verdict
from experiments.tables import markdown, read_lines, spread, write_svg

RESULTS = Path(__file__).parent / "results"
COSTS = ("cpu_seconds", "seconds", "passes")

Lines = list[dict[str, Any]]


def runs_of(lines: Lines, cost: str) -> list[Run]:
    """The lines as runs of this cost."""
    return [Run(line["arm"], line["state"], line[cost], line["accuracy"]) for line in lines]


def table(lines: Lines, cost: str) -> str:
    """One row per arm, best accuracy first."""
    header = [
        "arm",
        "n",
        "accuracy",
        cost.replace("_", " "),
        "cost in full runs",
        "passes",
        "backward passes",
    ]
    header += [f"minus {baseline} at equal cost" for baseline in BASELINES]
    header += [f"{' and '.join(BASELINES)} at equal passes"]
    runs, passes = runs_of(lines, cost), runs_of(lines, "passes")
    full = statistics.fmean(run.cost for run in runs if run.arm == "full")
    rows = []
    for arm, own in by_arm(runs).items():
        lines_of_arm = [line for line in lines if line["arm"] == arm]
        mean = statistics.fmean(run.cost for run in own)
        row = [f"`{arm}`", str(len(own)), spread([run.value for run in own], 4)]
        row += [f"{mean:.{2 if cost == 'passes' else 0}f}", f"{mean / full:.2f}"]
        row += [
            f"{statistics.fmean(line[key] for line in lines_of_arm):.2f}" for key in ("passes", "backward")
        ]
        for baseline in BASELINES:
            found = differences(runs, arm, baseline)
            row.append(f"{spread(found, 4, sign=True)} {verdict(found)}".strip())
        row.append(", ".join(verdict(differences(passes, arm, baseline)) or "–" for baseline in BASELINES))
        rows.append(row)
    return markdown(header, rows)


def picture(lines: Lines, cost: str, path: Path) -> None:
    """Accuracy against cost."""
    from matplotlib import pyplot

    figure, panel = pyplot.subplots(figsize=(9, 6), layout="constrained")
    draw(panel, runs_of(lines, cost))
    states = len({line["state"] for line in lines})
    panel.set(
        xlabel=f"{cost.replace('_', ' ')}, all overheads in",
        ylabel=f"test accuracy (n = {states} random states)",
    )
    write_svg(figure, path)


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
        picture(lines, options.cost, path.with_suffix(".svg"))


if __name__ == "__main__":
    main()
