"""Draw time and memory over N from results/curve.json: python -m experiments.speed_graph.plot (needs matplotlib)."""

from __future__ import annotations

import json
from pathlib import Path

from experiments.tables import write_svg

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    from matplotlib import pyplot

    curve = json.loads((RESULTS / "curve.json").read_text())
    n = [row["n"] for row in curve["rows"]]
    figure, (time, memory) = pyplot.subplots(1, 2, figsize=(8, 3.2), layout="constrained")
    for key, label in (("graph_s", "graph, k = 20"), ("sign_s", "SIGN, 10 % seeds")):
        values = [row[key] for row in curve["rows"]]
        time.loglog(n, values, marker="o", label=f"{label}: N^{curve['exponents'][key]:.2f}")
    peaks = [row["peak_anonymous_mib"] for row in curve["rows"]]
    memory.loglog(n, peaks, marker="o", label=f"N^{curve['exponents']['peak_anonymous_mib']:.2f}")
    time.set(xlabel="samples of 64 dimensions", ylabel="seconds, 2 threads, one run each")
    memory.set(xlabel="samples of 64 dimensions", ylabel="peak memory that no file backs, MiB")
    for panel in (time, memory):
        panel.legend(fontsize=8)
        panel.grid(alpha=0.3)
    write_svg(figure, RESULTS / "curve.svg")


if __name__ == "__main__":
    main()
