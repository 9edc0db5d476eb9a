"""Whole jobs on windows of sensor series: a graph on plain statistics, and samples of single sensors."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from graphprune.cli.console import summary
from graphprune.config.job import Config
from graphprune.config.load import load_config
from graphprune.jobs.pipeline import run
from graphprune.select.base import Selection
from graphprune.table import ScoreTable

CONFIGS = Path(__file__).parents[2] / "configs"
BASE = {
    "name": "toy",
    "device": "cpu",
    "seeds": {"fraction": 0.3, "draw": "time_blocks"},
    "model": {"name": "stid", "width": 4, "embedding": 2, "blocks": 1},
    "seed_training": {"epochs": 3, "batch_size": 64, "optimizer": "adamw", "lr": 0.01},
    "scores": ["st_complexity"],
    "extrapolators": ["knn", {"name": "gcn", "steps": 20}],
    "oracle": {"runs": 1},
    "arms": [{"name": "top", "score": "st_complexity", "extrapolator": "gcn", "rule": "top", "keep": 0.4}],
    "training": {"random_states": [0, 1], "sampler": {"name": "st_prune"}},
}


@pytest.fixture
def toy(tmp_path):
    """Ten days of hourly readings of four linked sensors, a twentieth of them missing."""
    rng = np.random.default_rng(0)
    hours = np.arange(240)
    values = 20 + 5 * np.sin(2 * np.pi * hours[:, None] / 24 + np.arange(4)) + rng.normal(size=(240, 4))
    values[rng.random(values.shape) < 0.05] = np.nan
    stamps = np.datetime64("2024-01-01T00:00:00") + hours * np.timedelta64(3600, "s")
    path = tmp_path / "toy.npz"
    adjacency = np.eye(4, k=1) + np.eye(4, k=-1)
    np.savez(path, values=values.astype(np.float32), timestamps=stamps, adjacency=adjacency)
    return path


QUICK = (
    "data.stride=2",
    "seed_training.epochs=6",
    "training.epochs=2",
    "training.random_states=[0]",
    "extrapolators=[auto, {name: knn, k: 5}]",
    "oracle=null",
    "graph.k=10",
)


@pytest.mark.parametrize(("name", "steps", "beaten"), [("metr_la_week", 700, 10), ("beijing_air", 2500, 60)])
def test_shipped_configs_run_with_a_path(shared_data, tmp_path, name, steps, beaten):
    changes = (f"data.path={shared_data / name}.npz", f"data.limit={steps}", *QUICK)
    metrics = run(load_config(CONFIGS / f"{name}.yaml", changes), tmp_path / "run")
    assert {"full", "extrapolated_ccs", "st_prune", "full_short", "last_value"} <= {
        arm.partition("@")[0] for arm in metrics["training"]
    }
    assert 0 < metrics["training"]["full"]["mean"] < beaten
    assert set(metrics["extrapolation"]) == {"st_complexity", "dynamic_uncertainty"}


def page_data(folder):
    text = (folder / "report.html").read_text()
    return json.loads(re.search(r'<script type="application/json"[^>]*>(.*?)</script>', text, re.DOTALL)[1])


def finished(toy, tmp_path, **changes):
    data = {"kind": "sensors", "path": str(toy), "window": 6, "horizon": 6, **changes.pop("data", {})}
    config = Config.model_validate({**BASE, "data": data, **changes})
    return run(config, tmp_path / "run"), tmp_path / "run"


def test_a_graph_on_plain_statistics(toy, tmp_path):
    metrics, folder = finished(toy, tmp_path, embedding={"source": "statistics"}, graph={"k": 5})
    assert np.load(folder / "embeddings.npy").shape == (181, 10)
    knn = metrics["extrapolation"]["st_complexity"]["methods"]["knn"]
    assert knn["oracle"]["n"] == 181 - metrics["seeds"]["n"]
    control = metrics["extrapolation"]["st_complexity"]["methods"]["input_complexity"]
    assert control["control"]
    assert control["cost_passes"] == 0
    assert -1 < control["oracle"]["spearman"] < 1
    # Eight blocks of seeds leave almost no window of 12 steps between them.
    clear = metrics["extrapolation"]["st_complexity"]["clear"]
    assert clear["n"] < clear["least"] <= clear["of"] == knn["oracle"]["n"]
    assert knn["oracle_clear"] is None
    for shown in ((folder / "report.html").read_text(), summary(metrics)):
        assert f"Only {clear['n']} of the {clear['of']} windows that are not seeds are disjoint" in shown
    # Predicted in the order of the seed errors; z-scores are over all windows, for measured ones over the seeds.
    errors, table = (
        np.load(folder / "seed_errors.npy"),
        ScoreTable.from_parquet(folder / "predictions/st_complexity/seed_errors.parquet"),
    )
    unseen = ~table.measured
    assert spearmanr(errors[unseen], table.values[unseen])[0] > 0.999
    seeds = ScoreTable.from_parquet(folder / "scores/st_complexity.parquet")
    assert spearmanr(errors[table.measured], seeds.values)[0] > 0.9
    indices = np.load(folder / "graph/indices.npy")
    distances = np.load(folder / "graph/distances.npy")
    # Each window is linked to its predecessor and its successor, and to its nearest neighbors.
    for row in range(1, 180):
        assert {row - 1, row + 1} <= set(indices[row][np.isfinite(distances[row])].tolist())
    for name in ("full", "top", "st_prune", "last_value", "historical_average"):
        errors = metrics["training"][name]["errors"]
        assert set(errors) == {"all", "3", "6"}
        assert errors["all"]["mae"]["mean"] == pytest.approx(metrics["training"][name]["mean"], rel=1e-5)
        assert errors["all"]["rmse"]["mean"] > errors["all"]["mae"]["mean"]
        assert 0 < errors["3"]["mape"]["mean"] < 1
    assert metrics["training"]["full"]["errors"]["6"]["mae"]["std"] > 0
    assert "MAE, RMSE and MAPE by horizon" in (folder / "report.html").read_text()
    # The page shows what ST-Prune trained on and what the selection keeps.
    data = page_data(folder)
    visits = [np.load(folder / f"arms/st_prune/{state}.visits.npy") for state in (0, 1)]
    backward = metrics["training"]["st_prune"]["backward_samples"]
    assert np.sum(visits) / 2 == pytest.approx(backward, abs=1)
    drawn = np.array(data["figures"]["kept-clock-1"]["data"][0]["z"], dtype=float)
    # The windows start at midnight on a Monday, so their forecasts start at six.
    expected = [np.mean(visits, axis=0)[hour - 6 :: 168].mean() / 3 for hour in (6, 7, 120)]
    assert np.array([drawn[0, 6], drawn[0, 7], drawn[5, 0]]) / 100 == pytest.approx(expected)
    again, _ = finished(toy, tmp_path, embedding={"source": "statistics"}, graph={"k": 5})
    assert dict(again) == dict(metrics)


@pytest.mark.parametrize("granularity", ["network", "sensor"])
def test_windows_clear_of_seeds_are_judged_apart(toy, tmp_path, granularity):
    spans = {"window": 2, "horizon": 1, "delay": 1, "granularity": granularity}
    training = {**BASE["training"], "random_states": [0], "epochs": 2, "sampler": None}
    metrics, folder = finished(toy, tmp_path, data=spans, training=training, oracle={"runs": 2})
    nodes = 4 if granularity == "sensor" else 1
    seeds = ScoreTable.from_parquet(folder / "scores/st_complexity.parquet").ids // nodes
    touched = {step for start in seeds for step in range(start, start + 4)}
    runs = [
        ScoreTable.from_parquet(folder / f"oracle/{number}/st_complexity.parquet").values for number in (0, 1)
    ]
    found = metrics["extrapolation"]["st_complexity"]
    for method, judged in found["methods"].items():
        table = ScoreTable.from_parquet(folder / f"predictions/st_complexity/{method}.parquet")
        clear = [not touched & set(range(i, i + 4)) for i in (table.ids // nodes).tolist()]
        assert judged["oracle_clear"]["n"] == found["clear"]["n"] == sum(clear) >= 30
        assert found["clear"]["n"] < judged["oracle"]["n"] == found["clear"]["of"]
        expected = spearmanr(table.values[clear], np.mean(runs, axis=0)[clear])[0]
        reached = judged["oracle_clear"]["spearman"]
        assert reached is None if np.isnan(expected) else reached == pytest.approx(expected, abs=1e-6)
    assert found["clear"]["full_vs_full"] == pytest.approx(spearmanr(*(run[clear] for run in runs))[0])
    page, table = (folder / "report.html").read_text(), summary(metrics)
    assert "on windows disjoint from the seed windows" in page
    assert "windows that are not seeds are disjoint from the seed windows. Judge the methods by these" in page
    assert "disjoint from seeds" in table
    assert f"{found['methods']['knn']['oracle_clear']['overlap']['0.5']:.3f}" in table


def test_samples_of_single_sensors(toy, tmp_path):
    scores = ["st_complexity", "st_spatial", "st_temporal"]
    changes = {"data": {"granularity": "sensor"}, "graph": {"k": 5}, "scores": scores, "oracle": None}
    metrics, folder = finished(toy, tmp_path, **changes, training={**BASE["training"], "random_states": [0]})
    assert metrics["dataset"]["n"] == 181 * 4
    table = ScoreTable.from_parquet(folder / "scores/st_complexity.parquet")
    starts, sensors = np.divmod(table.ids, 4)
    # A single sensor has no spread over sensors; it is computed from the linked sensors.
    assert ScoreTable.from_parquet(folder / "scores/st_spatial.parquet").values.std() == pytest.approx(1)
    # A drawn start time selects all its sensors.
    assert np.bincount(sensors).tolist() == [len(np.unique(starts))] * 4
    indices, distances = (np.load(folder / f"graph/{name}.npy") for name in ("indices", "distances"))
    for row in range(4, 180 * 4):
        near = set(indices[row][np.isfinite(distances[row])].tolist())
        linked = {row - row % 4 + other for other in (row % 4 - 1, row % 4 + 1) if 0 <= other < 4}
        assert {row - 4, row + 4} | linked <= near
    kept = Selection.from_parquet(folder / "selections/top.parquet")
    assert len(kept.ids) == round(0.4 * 724)
    assert metrics["training"]["st_prune"]["keep"] < 1
    page = (folder / "report.html").read_text()
    assert 'data-figure="kept-clock-0"' in page
    assert 'data-figure="kept-sensors-0"' in page
    assert metrics["training"]["last_value"]["mean"] > 0
