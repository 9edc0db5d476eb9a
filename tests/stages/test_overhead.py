"""`auto` pays for what it reads: looks or forecast errors, or else the graph."""

from pathlib import Path

import pytest

from graphprune.config_file import load_config
from graphprune.data.load import load_data
from graphprune.files import read_json
from graphprune.pipeline import run
from graphprune.train.paradigms.forecasting import Forecasting

ROOT = Path(__file__).parents[2]
SMALL = ("oracle=null", "arms=[]", "short_run=null", "controls=false", "training.random_states=[0]")
METHODS = "extrapolators=[auto, {name: knn, k: 5}]"
IMAGES = (*SMALL, METHODS, "scores=[{name: tdds, T: 6, window: 4}]")
WINDOWS = (
    *SMALL,
    METHODS,
    "scores=[st_complexity]",
    "data.limit=400",
    "training.epochs=2",
    "seed_training.epochs=2",
)


def charged(config, out, **given):
    """What each method is charged, and what the ledger holds of each stage, in full trainings."""
    metrics, length = run(config, out, **given), config.training.epochs
    (score,) = metrics["extrapolation"].values()
    unit = 3 * metrics["dataset"]["n"] * length
    spent = {
        stage: (3 * cost["trained_samples"] + cost["forward_samples"]) / unit
        for stage, cost in read_json(out / "ledger.json").items()
    }
    return {name: method["cost_passes"] for name, method in score["methods"].items()}, spent


def test_classes_are_looked_at_and_no_graph_is_read(tmp_path):
    cost, spent = charged(load_config(ROOT / "tests/tiny.yaml", IMAGES), tmp_path / "run")
    assert spent["seed_looks"] > 0 < spent["embed"]
    assert cost["auto"] == pytest.approx(spent["seed_training"] + spent["seed_looks"])
    assert cost["knn"] == pytest.approx(spent["seed_training"] + spent["embed"])


def test_windows_are_charged_for_the_errors_on_them(tmp_path):
    cost, spent = charged(load_config(ROOT / "configs/traffic.yaml", WINDOWS), tmp_path / "run")
    assert cost["auto"] - spent["seed_errors"] == pytest.approx(cost["knn"] - spent["embed"])


def test_where_a_paradigm_tells_no_errors_the_graph_is_paid_for(tmp_path):
    config = load_config(ROOT / "configs/traffic.yaml", WINDOWS)
    own = Forecasting(info=load_data(config.data).info)
    cost, spent = charged(config, tmp_path / "run", paradigm=own)
    assert "seed_errors" not in spent
    assert cost["auto"] == cost["knn"] > spent["embed"] > 0
