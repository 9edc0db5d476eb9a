"""Which windows are kept: by hour and weekday, and by sensor if a sample is the window of one sensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from graphprune.report.payload import plot_text
from graphprune.report.plots import Figure

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_COLORS = [[0, "@wash"], [1, "@accent"]]
_BARS_NAMED = 40


@dataclass(frozen=True)
class Sensors:
    """Sensors: the sensor of each of the N samples, with names and positions.

    Args:
        index: Sensor of each sample ``[N]`` int64.
        names: Names of the S sensors.
        positions: Latitude and longitude ``[S, 2]`` in degrees, or None if they are unknown.
    """

    index: npt.NDArray[np.int64]
    names: Sequence[str]
    positions: npt.NDArray[Any] | None = None


def windows_figures(
    kept: Mapping[str, npt.NDArray[Any]],
    *,
    hour: npt.NDArray[Any] | None,
    weekday: npt.NDArray[Any] | None,
    sensors: Sensors | None = None,
) -> dict[str, dict[str, Figure]]:
    """Figures ``clock`` and ``sensors`` for each arm, if the samples have times and sensors.

    Args:
        kept: For each arm, whether each window is kept ``[N]``, or the fraction of epochs that train on it.
        hour, weekday: Start of each window's forecast: 0..23 and 0 (Monday)..6, ``[N]`` each.
        sensors: The sensors, for samples of single sensors.

    Cost: O(N) per arm.
    """
    figures: dict[str, dict[str, Figure]] = {}
    for name, share in kept.items():
        known = figures.setdefault(name, {})
        if hour is not None and weekday is not None:
            known["clock"] = clock_figure(share, hour, weekday)
        if sensors is not None:
            known["sensors"] = sensor_figure(share, sensors)
    return {name: known for name, known in figures.items() if known}


def clock_figure(share: npt.NDArray[Any], hour: npt.NDArray[Any], weekday: npt.NDArray[Any]) -> Figure:
    """Heat map of the fraction kept in percent, with a row per weekday and a column per hour."""
    cells = np.asarray(weekday).astype(np.int64) * 24 + np.asarray(hour).astype(np.int64)
    means, counts = _shares(share, cells, 7 * 24)
    return {
        "data": [
            {
                "type": "heatmap",
                "x": list(range(24)),
                "y": list(DAYS),
                "z": [means[day * 24 : day * 24 + 24] for day in range(7)],
                "customdata": [counts[day * 24 : day * 24 + 24] for day in range(7)],
                "zmin": 0,
                "zmax": 100,
                "xgap": 1,
                "ygap": 1,
                "colorscale": _COLORS,
                "colorbar": {"ticksuffix": " %", "thickness": 10, "outlinewidth": 0},
                "hovertemplate": "%{y} %{x}:00<br>%{z:.0f} % of %{customdata} windows<extra></extra>",
            }
        ],
        "layout": {
            "height": 270,
            "margin": {"l": 44, "r": 8, "t": 8, "b": 42},
            "xaxis": {"title": {"text": "hour of day"}, "dtick": 3, "showgrid": False},
            "yaxis": {"autorange": "reversed", "showgrid": False},
        },
    }


def sensor_figure(share: npt.NDArray[Any], sensors: Sensors) -> Figure:
    """Fraction kept of each sensor in percent: on a map if positions are known, else as sorted bars."""
    means, counts = _shares(share, sensors.index, len(sensors.names))
    names = [plot_text(name) for name in sensors.names]
    texts = [
        f"{name}<br>{'no windows' if mean is None else f'{mean:.0f} % of {count:,} windows'}"
        for name, mean, count in zip(names, means, counts, strict=True)
    ]
    if sensors.positions is None:
        order = sorted(range(len(names)), key=lambda i: (means[i] is None, means[i] or 0.0, i))
        trace: dict[str, Any] = {
            "type": "bar",
            "x": list(range(len(order))),
            "y": [means[i] for i in order],
            "hovertext": [texts[i] for i in order],
            "hoverinfo": "text",
            "marker": {"color": "@accent"},
        }
        x_axis: dict[str, Any] = {
            "title": {"text": "sensors, sorted by fraction kept"},
            "tickvals": trace["x"],
        }
        x_axis |= {"ticktext": [names[i] for i in order], "showticklabels": len(order) <= _BARS_NAMED}
        y_axis: dict[str, Any] = {"title": {"text": "kept, %"}, "range": [0, 100]}
        return {"data": [trace], "layout": {"height": 270, "xaxis": x_axis, "yaxis": y_axis}}
    latitude, longitude = (np.asarray(column, dtype=float) for column in sensors.positions.T)
    trace = {
        "type": "scatter",
        "mode": "markers",
        "x": longitude.tolist(),
        "y": latitude.tolist(),
        "hovertext": texts,
        "hoverinfo": "text",
        "marker": {
            "size": 10,
            "color": means,
            "cmin": 0,
            "cmax": 100,
            "colorscale": _COLORS,
            "line": {"width": 1, "color": "@line"},
            "colorbar": {"ticksuffix": " %", "thickness": 10, "outlinewidth": 0},
        },
    }
    # A degree of longitude is shorter than a degree of latitude by the cosine of the latitude.
    stretch = 1 / max(0.1, float(np.cos(np.radians(np.nanmean(latitude)))))
    y_axis = {"title": {"text": "latitude"}, "scaleanchor": "x", "scaleratio": stretch}
    return {
        "data": [trace],
        "layout": {"height": 380, "xaxis": {"title": {"text": "longitude"}}, "yaxis": y_axis},
    }


def _shares(
    share: npt.NDArray[Any], cells: npt.NDArray[Any], count: int
) -> tuple[list[float | None], list[int]]:
    """Mean of ``share [N]`` in percent and number of samples for each of ``count`` cells; None for empty cells."""
    sizes = np.bincount(cells, minlength=count)
    totals = np.bincount(cells, weights=np.asarray(share, dtype=np.float64), minlength=count)
    means = [100 * t / n if n else None for t, n in zip(totals.tolist(), sizes.tolist(), strict=True)]
    return means, sizes.tolist()
