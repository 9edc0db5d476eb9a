"""The tables of all random states that `analyse` wrote, mean and standard deviation, and a picture of them.

    python -m experiments.extrapolation_cifar10.tables [--results DIR]

Writes tables.md and accuracy.svg (needs matplotlib) beside the state*.json, and prints a summary.
"""

from __future__ import annotations

import argparse
import json
import statistics
from pathlib import Path
from typing import Any

from experiments.tables import markdown, spread, write_svg

BEST = "rot05-r3: auto"
# Rows of the summary: what is ours, what it is held against.
SHOWN = (
    BEST,
    "rot10: auto",
    "seed20: auto",
    "halves of seed20: auto",
    "seed10: auto",
    "short6: p(1-p), mean of 5 looks",
    "seed20: p(1-p)",
    "seed20: rank_sum",
    "seed10: rank_sum",
    "seed20: knn",
    "seed20: gcn",
    "seed20: sage",
    "seed20: gat",
    "seed20: sign",
    "seed20: pprgo",
    "seed20: label_propagation",
    "seed20: ensemble",
    "seed20: mlp",
    "seed20: ridge",
    "seed20: class_mean",
    "seed20: seed_entropy",
    "seed20: seed_confidence",
    "seed20: label_disagreement",
    "short6: 1-p online (short_run)",
    "short6: 1-p last pass",
    "short6: entropy last pass",
)
FULL_RUNS = (
    ("spearman", "one full run against the other"),
    ("further_run_vs_mean", "a further full run against the mean"),
    ("perfect", "a perfect predictor"),
)


def of_score(states: list[dict[str, Any]], score: str) -> dict[str, list[dict[str, Any]]]:
    """What the states say of every predictor, best mean first."""
    tables = [state["scores"][score]["predictors"] for state in states]
    found = {
        name: [table[name] for table in tables if name in table] for name in {n: 0 for t in tables for n in t}
    }
    return dict(sorted(found.items(), key=lambda item: -statistics.fmean(row["spearman"] for row in item[1])))


def summary(states: list[dict[str, Any]]) -> str:
    """What full runs and the predictors of `SHOWN` reach, one column per score."""
    scores = list(states[0]["scores"])
    header = ["", "cost in full runs", *scores]
    rows = []
    for key, text in FULL_RUNS:
        found = [spread([s["scores"][score]["ceiling"][key] for s in states]) for score in scores]
        rows.append([text, "", *found])
    held = [spread([s["scores"][score]["fitted_on_truth"] for s in states]) for score in scores]
    rows.append(["fitted on the truth of half the samples", "", *held])
    for name in SHOWN:
        tables = [of_score(states, score) for score in scores]
        if name in tables[0]:
            cost = f"{tables[0][name][0]['cost']:.3f}"
            rows.append([name, cost, *(spread([row["spearman"] for row in t[name]]) for t in tables)])
    return markdown(header, rows)


def whole_table(states: list[dict[str, Any]], score: str) -> str:
    """The ceilings and one row per predictor, in Markdown."""
    each = [state["scores"][score] for state in states]
    lines = [f"## {score}", ""]
    lines += [f"{text}: {spread([state['ceiling'][key] for state in each])}  " for key, text in FULL_RUNS]
    for key, text in (
        ("fitted_on_truth", "fitted on the truth of half the samples"),
        ("seed_run_on_seeds", "seed20's own scores on its seeds"),
        ("ensemble_coverage", "held-out seeds within the ensemble's 90 %"),
    ):
        lines.append(f"{text}: {spread([state[key] for state in each])}  ")
    perfect = statistics.fmean(state["ceiling"]["perfect"] for state in each)
    table = []
    for name, rows in of_score(states, score).items():
        best = [state["predictors"][BEST]["minus"].get(name) for state in each if name in state["predictors"]]
        found = [row["spearman"] for row in rows]
        fit = statistics.fmean(row["fit_cpu_seconds"] for row in rows)
        table.append(
            (
                name,
                str(len(rows)),
                f"{rows[0]['cost']:.3f}",
                f"{fit:.1f}" if fit else "",
                spread(found),
                f"{statistics.fmean(found) / perfect:.2f}",
                spread([row["overlap_half"] for row in rows]),
                ", ".join(f"{low:+.3f}..{high:+.3f}" for low, high in filter(None, best)),
            )
        )
    header = ("predictor", "n", "cost", "CPU s of the fit", "Spearman", "share of perfect")
    lines += ["", markdown([*header, "overlap of the kept half", f"{BEST} minus it"], table), ""]
    return "\n".join(lines)


def draw(states: list[dict[str, Any]], path: Path) -> None:
    """One panel per score: bars by predictor with their range over the states, and the full runs as lines."""
    from matplotlib import pyplot

    pyplot.rcParams["svg.fonttype"] = "none"
    scores = list(states[0]["scores"])
    count = len(of_score(states, scores[0]))
    figure, panels = pyplot.subplots(
        len(scores), 1, figsize=(8, 0.24 * count * len(scores)), sharex=True, layout="constrained"
    )
    for panel, score in zip(panels, scores, strict=True):
        found = of_score(states, score)
        for place, (name, rows) in enumerate(reversed(found.items())):
            values = [row["spearman"] for row in rows]
            colour = "tab:orange" if name.endswith(": auto") else "tab:blue"
            panel.barh(place, statistics.fmean(values), color=colour, alpha=0.7)
            panel.plot([min(values), max(values)], [place, place], color="black", linewidth=1.5)
        panel.set_yticks(
            range(len(found)), [f"{name} ({rows[0]['cost']:.2f})" for name, rows in reversed(found.items())]
        )
        panel.tick_params(axis="y", labelsize=7)
        ceilings = [state["scores"][score]["ceiling"] for state in states]
        for (key, text), style in zip(FULL_RUNS[1:], ("--", "-"), strict=True):
            panel.axvline(
                statistics.fmean(c[key] for c in ceilings), color="grey", linestyle=style, label=text
            )
        panel.set_title(f"{score}, n = {len(states)} random states", fontsize=9)
        panel.legend(fontsize=7, loc="lower right")
    panels[-1].set_xlabel(
        "Spearman with the mean of two full runs, on unseen samples (in brackets: cost in full runs)"
    )
    write_svg(figure, path)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=Path(__file__).parent / "results")
    options = parser.parse_args()
    states = [json.loads(path.read_text()) for path in sorted(options.results.glob("state*.json"))]
    print(summary(states))
    tables = "\n".join(whole_table(states, score) for score in states[0]["scores"])
    (options.results / "tables.md").write_text(f"# Every predictor\n\n{tables}")
    draw(states, options.results / "accuracy.svg")


if __name__ == "__main__":
    main()
