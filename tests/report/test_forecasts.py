"""The table of forecasting errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from graphprune.report.forecasts import error_table
from graphprune.report.html import render


def measures(mae: float, mape: float | None, std: float | None = None) -> dict[str, Any]:
    return {
        "mae": {"mean": mae, "std": std},
        "rmse": {"mean": 2 * mae, "std": std},
        "mape": {"mean": mape, "std": None if mape is None or std is None else std / 10},
    }


@pytest.fixture
def with_errors(forecast: dict[str, Any]) -> dict[str, Any]:
    training = forecast["training"]
    training["full"]["errors"] = {"3": measures(15.0, None), "all": measures(20.4321, 0.125, 0.17)}
    training["last_value"]["errors"] = {"all": measures(23.0, 0.2), "3": measures(16.0, 0.3)}
    return forecast


def test_every_arm_that_states_errors_gets_a_row(with_errors: dict[str, Any]) -> None:
    table = error_table(with_errors)
    assert table is not None
    assert table.steps == ("all horizons", "step 3")
    rows = dict(table.rows)
    assert set(rows) == {"full", "last_value"}
    assert rows["full"][:3] == (("20.43", "0.17"), ("40.86", "0.17"), ("12.5 %", "1.7"))
    assert rows["full"][3:] == (("15.00", ""), ("30.00", ""), ("–", ""))
    assert rows["last_value"][5] == ("30 %", "")


def test_images_have_no_such_table(metrics: dict[str, Any]) -> None:
    assert error_table(metrics) is None
    assert error_table({}) is None


def test_the_page_shows_it(with_errors: dict[str, Any], make_report: Callable[..., Any]) -> None:
    page = render(make_report(metrics=with_errors, scatter={}, map=None))
    assert "MAE, RMSE and MAPE by horizon" in page
    assert "12.5 %" in page
    assert "MAE, RMSE and MAPE by horizon" not in render(make_report())
