"""One page that compares several runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphprune.errors import InputError
from graphprune.report.agreement import best_method
from graphprune.report.arms import arms
from graphprune.report.html import ReportInput, page
from graphprune.report.plots import Figure, runs_figure
from graphprune.report.verdict import verdict


def compare(reports: Sequence[ReportInput]) -> str:
    """Returns the page of ``graphprune report RUN RUN ...`` as HTML text.

    Runs on the same data (by fingerprint, or else by name) with the same metric share a table and a plot; different
    data sets never share an axis.

    Raises:
        InputError: no run was given, or a metric is unknown.

    Cost: O(runs x arms).
    """
    if not reports:
        raise InputError("compare received no runs; pass at least one run (a folder on the command line)")
    figures: dict[str, Figure] = {}
    blocks = []
    for number, members in enumerate(_by_data(reports)):
        known = [(name, arms(report.metrics)) for name, report in members]
        metric = next((arm.metric for _, found in known for arm in found.values()), "accuracy")
        figure = runs_figure([(name, list(found.values())) for name, found in known], metric)
        if figure is not None:
            figures[f"runs-{number}"] = figure
        blocks.append(
            {
                "dataset": members[0][1].metrics.get("dataset") or {},
                "metric": metric,
                "figure": f"runs-{number}",
                "runs": [
                    {
                        "name": name,
                        "seeds": report.metrics.get("seeds") or {},
                        "arms": list(found.values()),
                        "verdict": verdict(report.metrics),
                        "best": _best_methods(report.metrics),
                    }
                    for (name, report), (_, found) in zip(members, known, strict=True)
                ],
            }
        )
    return page(
        "compare.html",
        {"figures": figures},
        scripts=("page.js",),
        title=f"{len(reports)} runs",
        blocks=blocks,
    )


def _by_data(reports: Sequence[ReportInput]) -> list[list[tuple[str, ReportInput]]]:
    """Runs grouped by data and metric, each with a unique name."""
    groups: dict[tuple[str, str], list[tuple[str, ReportInput]]] = {}
    used: dict[str, int] = {}
    for report in reports:
        dataset = report.metrics.get("dataset") or {}
        metric = next((arm.metric for arm in arms(report.metrics).values()), "")
        used[report.title] = used.get(report.title, 0) + 1
        name = report.title if used[report.title] == 1 else f"{report.title} ({used[report.title]})"
        key = (str(dataset.get("fingerprint") or dataset.get("name") or ""), metric)
        groups.setdefault(key, []).append((name, report))
    return list(groups.values())


def _best_methods(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    found = {score: best_method(entry) for score, entry in (metrics.get("extrapolation") or {}).items()}
    return [{"score": score, **best} for score, best in found.items() if best is not None]
