"""Plots of the arms as Plotly specifications; the theme of the page replaces colors such as ``@accent``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from graphprune.report.arms import ROLE_WORDS, Arm, Role
from graphprune.report.format import ABSENT, fixed, larger_is_better, percent, seconds, significant, value
from graphprune.report.format import spread as deviation
from graphprune.report.labels import label_places
from graphprune.report.payload import plot_text

Figure = dict[str, Any]

# Symbol, color, size: pruned arms have the accent color, all others are gray or black.
MARKERS: dict[Role, tuple[str, str, int]] = {
    "full": ("diamond", "@ink", 12),
    "pruned": ("circle", "@accent", 13),
    "equal_cost": ("square-open", "@ink", 11),
    "baseline": ("circle-open", "@muted", 11),
}
RUN_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "x", "star", "pentagon", "hexagon")


def arms_figure(known: Sequence[Arm]) -> Figure | None:
    """Metric against the total wall-clock time of each arm, with standard deviations over random seeds.

    ``meta`` of a trace contains the numbers of the arms in the table, which replace their names on narrow screens.
    Returns None if no arm has both values.
    """
    drawn = _drawable(known)
    if not drawn:
        return None
    metric = drawn[0].metric
    unit, scale = _time_unit(drawn)
    names = [arm.name for arm in drawn]
    points = [(_x(arm, scale), _y(arm)) for arm in drawn]
    lines = _level_lines(known, drawn, scale)
    reach = [y for arm in drawn for y in (_y(arm) - _spread(arm), _y(arm) + _spread(arm))]
    reach += [line["y"][0] for line in lines]
    places = dict(zip(names, label_places(points, names, (min(reach), max(reach))), strict=True))
    numbers = {arm.name: str(number) for number, arm in enumerate(known, 1)}
    traces = []
    for role, (symbol, color, size) in MARKERS.items():
        group = [arm for arm in drawn if arm.role == role]
        if group:
            trace = _points(group, ROLE_WORDS[role], scale, symbol, color, size)
            labels = {
                "mode": "markers+text",
                "text": [plot_text(arm.name) for arm in group],
                "textposition": [places[arm.name] for arm in group],
                "meta": [numbers[arm.name] for arm in group],
                "cliponaxis": False,
            }
            traces.append({**trace, **labels})
    traces.append(_states_trace(drawn, scale))
    return {"data": traces + lines, "layout": _layout(metric, unit)}


def runs_figure(groups: Sequence[tuple[str, Sequence[Arm]]], metric: str) -> Figure | None:
    """Metric against total wall-clock time for several runs on the same data, with one symbol per run."""
    drawn = [(name, _drawable(known)) for name, known in groups]
    every = [arm for _, known in drawn for arm in known]
    if not every:
        return None
    unit, scale = _time_unit(every)
    traces = []
    for place, (name, known) in enumerate(drawn):
        if known:
            filled = RUN_SYMBOLS[place % len(RUN_SYMBOLS)]
            symbols = [filled if arm.role == "pruned" else f"{filled}-open" for arm in known]
            trace = _points(known, plot_text(name), scale, symbols, f"@hue{place % 8}", 11)
            trace["hovertext"] = [f"{plot_text(name)}<br>{text}" for text in trace["hovertext"]]
            traces.append(trace)
    return {"data": traces, "layout": _layout(metric, unit)}


def _drawable(known: Sequence[Arm]) -> list[Arm]:
    return [a for a in known if a.role in MARKERS and a.mean is not None and a.total_seconds is not None]


def _points(
    group: Sequence[Arm], name: str, scale: float, symbol: str | list[str], color: str, size: int
) -> Figure:
    errors = {"type": "data", "array": [_spread(arm) for arm in group], "color": color}
    return {
        "type": "scatter",
        "mode": "markers",
        "name": name,
        "x": [_x(arm, scale) for arm in group],
        "y": [_y(arm) for arm in group],
        "error_y": {**errors, "thickness": 1.2, "width": 4},
        "hovertext": [_hover(arm) for arm in group],
        "hoverinfo": "text",
        "marker": {"symbol": symbol, "size": size, "color": color, "line": {"width": 2, "color": color}},
    }


def _states_trace(drawn: Sequence[Arm], scale: float) -> Figure:
    pairs = [(arm, one) for arm in drawn for one in arm.values if one is not None]
    return {
        "type": "scatter",
        "mode": "markers",
        "name": "single random seed",
        "x": [_x(arm, scale) for arm, _ in pairs],
        "y": [one * _factor(arm.metric) for arm, one in pairs],
        "marker": {"size": 4, "color": "@muted", "opacity": 0.7},
        "hoverinfo": "skip",
    }


def _level_lines(known: Sequence[Arm], drawn: Sequence[Arm], scale: float) -> list[Figure]:
    """Forecasts without training as horizontal lines, unless they are so far away that they compress the rest."""
    heights = [_y(arm) for arm in drawn]
    room = 1.5 * (max(heights) - min(heights))
    right = max(_x(arm, scale) for arm in drawn)
    return [
        {
            "type": "scatter",
            "mode": "lines",
            "name": plot_text(arm.name),
            "x": [0, right],
            "y": [_y(arm)] * 2,
            "line": {"color": "@muted", "width": 1, "dash": "dot" if arm.base == "last_value" else "dash"},
            "hovertemplate": f"{plot_text(arm.name)}: %{{y:.4g}}<extra></extra>",
        }
        for arm in known
        if arm.role == "no_training" and min(heights) - room <= _y(arm) <= max(heights) + room
    ]


def _layout(metric: str, unit: str) -> Figure:
    better = f"test {metric.upper()} (lower is better)"
    if larger_is_better(metric):
        better = "test accuracy, % (higher is better)"
    return {
        "height": 470,
        "xaxis": {"title": {"text": f"total wall-clock time, {unit}"}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": better}},
        "legend": {"orientation": "h", "x": 0, "y": 1.02, "yanchor": "bottom"},
        "hovermode": "closest",
    }


def _hover(arm: Arm) -> str:
    spread = f" ± {deviation(arm.metric, arm.mean, arm.std)} over {len(arm.values)} random seeds"
    ratio = ABSENT if arm.wall_clock_ratio is None else f"{fixed(arm.wall_clock_ratio)} × full"
    lines = [
        f"<b>{plot_text(arm.name)}</b>",
        value(arm.metric, arm.mean) + ("" if arm.std is None else spread),
        f"keep {percent(arm.keep)}",
        f"{seconds(arm.total_seconds)} in total ({ratio})",
        f"{significant(arm.cost_passes)} full trainings in sample passes",
    ]
    return "<br>".join(lines)


def _x(arm: Arm, scale: float) -> float:
    return (arm.total_seconds or 0.0) / scale


def _y(arm: Arm) -> float:
    return (arm.mean or 0.0) * _factor(arm.metric)


def _spread(arm: Arm) -> float:
    return (arm.std or 0.0) * _factor(arm.metric)


def _factor(metric: str) -> float:
    return 100.0 if metric == "accuracy" else 1.0


def _time_unit(drawn: Sequence[Arm]) -> tuple[str, float]:
    longest = max(arm.total_seconds or 0.0 for arm in drawn)
    if longest < 300:
        return "seconds", 1.0
    return ("minutes", 60.0) if longest < 3 * 3600 else ("hours", 3600.0)
