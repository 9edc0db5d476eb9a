"""Which windows are kept: cells against loops, and the page that shows them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from graphprune.errors import InputError
from graphprune.report.html import render
from graphprune.report.samples import SampleMap
from graphprune.report.verdict import verdict
from graphprune.report.windows import DAYS, Sensors, clock_figure, sensor_figure, windows_figures

from .test_html import Page, data_of


def test_cells_of_the_clock_equal_loops() -> None:
    random = np.random.default_rng(0)
    hour, weekday = random.integers(0, 20, 300), random.integers(0, 7, 300)
    share = random.random(300)
    trace = clock_figure(share, hour, weekday)["data"][0]
    assert trace["y"] == list(DAYS)
    for day in range(7):
        for h in range(24):
            mine = [s for s, a, b in zip(share, weekday, hour, strict=True) if (a, b) == (day, h)]
            assert trace["customdata"][day][h] == len(mine)
            expected = pytest.approx(100 * np.mean(mine)) if mine else None
            assert trace["z"][day][h] == expected
    assert all(row[22] is None for row in trace["z"])


def test_sensors_are_on_the_map_or_sorted() -> None:
    index = np.array([0, 0, 1, 1, 2, 2])
    kept = np.array([True, True, False, False, True, False])
    places = np.array([[60.0, 10.0], [60.0, 11.0], [61.0, 12.0], [59.0, 9.0]])
    names = ("a", "<b>", "c", "silent")
    figure = sensor_figure(kept, Sensors(index, names, places))
    trace = figure["data"][0]
    assert trace["marker"]["color"] == [100, 0, 50, None]
    assert (trace["x"], trace["y"]) == ([10, 11, 12, 9], [60, 60, 61, 59])
    assert trace["hovertext"][1] == "&lt;b&gt;<br>0 % of 2 windows"
    assert trace["hovertext"][3] == "silent<br>no windows"
    # At 60 degrees north a degree of longitude is half as long as one of latitude.
    assert figure["layout"]["yaxis"]["scaleratio"] == pytest.approx(2, rel=0.01)
    bars = sensor_figure(kept, Sensors(index, names))
    assert bars["data"][0]["y"] == [0, 50, 100, None]
    assert bars["layout"]["xaxis"]["ticktext"] == ["&lt;b&gt;", "c", "a", "silent"]


def test_samples_without_a_clock_have_no_such_figures() -> None:
    kept = {"arm": np.ones(3, dtype=bool)}
    assert windows_figures(kept, hour=None, weekday=None) == {}
    assert set(windows_figures(kept, hour=np.zeros(3), weekday=np.zeros(3))["arm"]) == {"clock"}


def test_the_page_shows_them_for_each_arm(make_report: Callable[..., Any], windows: SampleMap) -> None:
    sensors = Sensors(
        np.arange(2000) % 3, ("a", "b", "c"), np.array([[60.0, 10.0], [60.0, 11.0], [61.0, 12.0]])
    )
    page = render(make_report(map=dataclasses.replace(windows, sensors=sensors)))
    assert "Windows that extrapolated keeps" in Page(page).text
    figures = data_of(page)["figures"]
    assert {"kept-clock-0", "kept-sensors-0"} <= set(figures)
    shown = figures["kept-clock-0"]["data"][0]
    kept, hour, weekday = windows.kept["extrapolated"], windows.hour, windows.weekday
    cell = kept[(hour == 8) & (weekday == 2)]
    assert shown["z"][2][8] == pytest.approx(100 * cell.mean())
    assert page.count("data-figure=") >= 3
    images = render(make_report())
    assert "Windows that" not in Page(images).text
    with pytest.raises(InputError, match="2000 ids but 5 sensors"):
        dataclasses.replace(windows, sensors=Sensors(np.zeros(5, dtype=np.int64), ("a",)))


def test_windows_disjoint_from_seeds_come_first_and_the_evidence_says_so(
    make_report: Callable[..., Any], forecast: dict[str, Any]
) -> None:
    score = forecast["extrapolation"]["st_complexity"]
    score["clear"] = {"n": 900, "of": 1600, "least": 30, "full_vs_full": 0.6, "perfect": 0.866}
    for name, (every, clear) in {"knn": (0.72, 0.41), "mean": (0.6, 0.5)}.items():
        heldout = score["methods"][name]["heldout"]
        score["methods"][name]["oracle"] = {**heldout, "n": 1600, "spearman": every}
        score["methods"][name]["oracle_clear"] = {**heldout, "n": 900, "spearman": clear}
    line = "mean agrees best with full runs, Spearman 0.50 on windows disjoint from the seed windows (0.60 on all"
    assert any(line in each for each in verdict(forecast).evidence)
    page = render(make_report(metrics=forecast, scatter={}, map=None))
    text = Page(page).text
    assert (
        "900 of the 1,600 windows that are not seeds are disjoint from the seed windows. Judge the methods by these"
        in text
    )
    opened = [title.rpartition(", ")[2] for title in re.findall("<summary>(Against[^<]*)", page)]
    assert opened[0] == "on windows disjoint from the seed windows"
    assert len(opened) == 3
    # The best, .5, of what a perfect predictor reaches there.
    assert "57.7 %" in text
    score["clear"]["n"] = 7
    for method in score["methods"].values():
        method["oracle_clear"] = None
    assert any("only 7 of the 1,600 windows" in each for each in verdict(forecast).evidence)
