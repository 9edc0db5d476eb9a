"""Agreement of predicted with measured scores: the figure, the ceilings and the tables."""

from __future__ import annotations

from typing import Any

from graphprune.report.payload import plot_text
from graphprune.report.plots import Figure

KINDS = {
    "heldout": ("agreement with the seed run (held-out seeds)", "circle-open", "@muted"),
    "oracle": ("agreement with the full-data scores (oracle)", "circle", "@accent"),
    "oracle_clear": ("the same on windows disjoint from the seed windows", "diamond", "@accent"),
}
_TITLES = {
    "oracle_clear": "Against the full-data scores (oracle), on windows disjoint from the seed windows",
    "oracle": "Against the full-data scores (oracle)",
    "heldout": "Against held-out seeds: agreement with the seed run",
}


def agreement_figure(score: dict[str, Any]) -> Figure | None:
    """Spearman correlation of every method with its 95 % interval.

    Filled circles show the agreement with the oracle, hollow circles with held-out seeds, and diamonds with the oracle
    on windows that are disjoint from the seed windows.

    Args:
        score: One entry of ``metrics["extrapolation"]``.
    """
    methods: dict[str, dict[str, Any]] = score.get("methods") or {}
    order = sorted(methods, key=lambda name: _rank(methods[name]))
    traces = []
    for kind, (label, symbol, color) in KINDS.items():
        rows = [(name, methods[name].get(kind) or {}) for name in order]
        rows = [(name, row) for name, row in rows if row.get("spearman") is not None]
        if rows:
            traces.append(_dots([name for name, _ in rows], [row for _, row in rows], label, symbol, color))
    if not traces:
        return None
    lines = ceiling_lines(score)
    return {
        "data": traces,
        "layout": {
            "height": 140 + 30 * len(order),
            "showlegend": True,
            "xaxis": {"title": {"text": "Spearman rank correlation"}},
            "yaxis": {"categoryorder": "array", "categoryarray": [plot_text(name) for name in order]},
            "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
            "shapes": [_upright(at) for at, _ in lines],
            "annotations": [_note(at, text) for at, text in lines],
        },
    }


def ceiling_lines(score: dict[str, Any]) -> list[tuple[float, str]]:
    """The ceilings of one score on the axis of correlations, each with its label."""
    ceiling = score.get("ceiling") or {}
    lines = [
        (ceiling.get("seed_vs_full"), "seed run itself"),
        (ceiling.get("full_vs_full"), "another full run"),
        (ceiling.get("perfect"), "perfect predictor"),
    ]
    return [(float(at), text) for at, text in lines if at is not None]


def clear_note(score: dict[str, Any]) -> str | None:
    """How many windows share no reading with a seed, as a note for tables; None for other data.

    >>> clear_note({"clear": {"n": 7, "of": 127, "least": 30}})[:64]
    'Only 7 of the 127 windows that are not seeds are disjoint from t'
    """
    clear = score.get("clear")
    if not clear:
        return None
    counts = (
        f"{clear['n']:,} of the {clear['of']:,} windows that are not seeds are disjoint from the seed windows"
    )
    if clear["n"] < clear["least"]:
        return (
            f"Only {counts}, too few for separate figures (fewer than {clear['least']}). The oracle figures include "
            "all windows; most share readings with a seed, so they are optimistic for times far from all seeds."
        )
    return (
        f"{counts}. Judge the methods by these windows: the others share readings with a seed, so their figures are "
        "optimistic for times far from all seeds."
    )


def clear_evidence(metrics: dict[str, Any]) -> list[str]:
    """For windows, one note per score: how good its predictions are far from all seeds."""
    lines = []
    for name, score in (metrics.get("extrapolation") or {}).items():
        best = best_method(score)
        if best is not None and best["kind"] == "oracle_clear":
            every = score["methods"][best["name"]]["oracle"]["spearman"]
            lines.append(
                f"Predicted {name}: {best['method']} agrees best with full runs, Spearman {best['spearman']:.2f} on "
                f"windows disjoint from the seed windows ({every:.2f} on all windows, most of which share readings "
                "with a seed)."
            )
        elif note := clear_note(score):
            lines.append(f"Predicted {name}: {note[0].lower()}{note[1:]}")
    return lines


def agreement_tables(score: dict[str, Any]) -> list[dict[str, Any]]:
    """Tables of one score's methods, best first: against the oracle if there is one, then against held-out seeds.

    For windows, the table of windows disjoint from the seed windows comes first.
    """
    methods: dict[str, dict[str, Any]] = score.get("methods") or {}
    found = {"oracle": score.get("ceiling") or {}, "oracle_clear": score.get("clear") or {}}
    ceilings = {kind: ceiling.get("perfect") or None for kind, ceiling in found.items()}
    tables = []
    for kind, title in _TITLES.items():
        rows = [
            {"name": method, "method": method_label(method, raw), "agreement": raw[kind], "cost": raw}
            for method, raw in methods.items()
            if raw.get(kind) is not None
        ]
        if rows:
            rows.sort(key=lambda row: _spearman(row["agreement"]), reverse=True)
            tables.append({"kind": kind, "title": title, "rows": rows, "perfect": ceilings.get(kind)})
    return tables


def audit_rows(score: dict[str, Any]) -> list[dict[str, Any]]:
    """Label and audit of every method whose audit has an interval, highest expected correlation first."""
    methods: dict[str, dict[str, Any]] = score.get("methods") or {}
    rows = [
        {"method": method_label(name, raw), **raw["audit"]}
        for name, raw in methods.items()
        if (raw.get("audit") or {}).get("interval")
    ]
    return sorted(rows, key=lambda row: -float(row["expected"]))


def method_label(name: str, method: dict[str, Any]) -> str:
    """The method name in tables; controls are marked."""
    return f"{name} (control)" if method.get("control") else name


def best_method(score: dict[str, Any]) -> dict[str, Any] | None:
    """The method that agrees best with the oracle (for windows, on disjoint ones), or else with held-out seeds."""
    for table in agreement_tables(score):
        best = table["rows"][0]
        if best["agreement"].get("spearman") is not None:
            return {
                "kind": table["kind"],
                "name": best["name"],
                "method": best["method"],
                "spearman": best["agreement"]["spearman"],
            }
    return None


def _dots(names: list[str], rows: list[dict[str, Any]], label: str, symbol: str, color: str) -> Figure:
    middles = [row["spearman"] for row in rows]
    intervals = [row.get("spearman_ci95") or [row["spearman"]] * 2 for row in rows]
    above = [max(0.0, high - middle) for (_, high), middle in zip(intervals, middles, strict=True)]
    below = [max(0.0, middle - low) for (low, _), middle in zip(intervals, middles, strict=True)]
    errors = {"type": "data", "symmetric": False, "array": above, "arrayminus": below}
    return {
        "type": "scatter",
        "mode": "markers",
        "name": label,
        "x": middles,
        "y": [plot_text(name) for name in names],
        "error_x": {**errors, "thickness": 1.2, "width": 3, "color": color},
        "marker": {"symbol": symbol, "size": 10, "color": color, "line": {"width": 2, "color": color}},
        "hovertemplate": "%{y}: %{x:.3f}<extra></extra>",
    }


def _upright(at: float) -> dict[str, Any]:
    line = {"color": "@ink", "width": 1, "dash": "dot"}
    return {"type": "line", "xref": "x", "yref": "paper", "x0": at, "x1": at, "y0": 0, "y1": 1, "line": line}


def _note(at: float, text: str) -> dict[str, Any]:
    place = {"x": at, "y": 0, "xref": "x", "yref": "paper", "xanchor": "right", "yanchor": "bottom"}
    return {
        **place,
        "text": text,
        "textangle": -90,
        "showarrow": False,
        "font": {"size": 11, "color": "@muted"},
    }


def _spearman(agreement: dict[str, Any] | None) -> float:
    value = (agreement or {}).get("spearman")
    return -2.0 if value is None else float(value)


def _rank(method: dict[str, Any]) -> tuple[float, ...]:
    return tuple(_spearman(method.get(kind)) for kind in _TITLES)
