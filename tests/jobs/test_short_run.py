"""The short run and the controls that need no fit are evaluated with every extrapolator."""

from pathlib import Path

import numpy as np
import pytest

from graphprune.config.load import load_config
from graphprune.files import read_json
from graphprune.jobs.pipeline import run

TINY = Path(__file__).parents[1] / "tiny.yaml"
SMALL = ("oracle=null", "arms=[]", "training.random_states=[0]", "scores=[{name: tdds, T: 6, window: 4}]")
CONTROLS = {
    "label_disagreement",
    "rank_sum",
    "seed_confidence",
    "seed_entropy",
    "short_run",
    "short_run_el2n",
    "short_run_variance",
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    out = tmp_path_factory.mktemp("short") / "run"
    return out, run(load_config(TINY, SMALL), out)


def test_it_costs_what_the_seed_run_did(finished):
    out, metrics = finished
    ledger = read_json(out / "ledger.json")
    spent, seed_run = (ledger[name]["trained_samples"] for name in ("short_run", "seed_training"))
    assert spent == pytest.approx(seed_run, rel=0.12)
    p_true = np.load(out / "short_run/p_true.npy")
    assert p_true.shape == (2, metrics["dataset"]["n"])  # 6 epochs of 30 % are 1.8 epochs of all
    assert np.isfinite(p_true).all()


def test_all_controls_are_judged_at_their_own_cost(finished):
    methods = finished[1]["extrapolation"]["tdds"]["methods"]
    assert set(methods) == {"knn", "gcn", "mean"} | CONTROLS
    assert {name for name, judged in methods.items() if judged["control"]} == CONTROLS | {"mean"}
    n, spent = (
        finished[1]["dataset"]["n"],
        read_json(finished[0] / "ledger.json")["short_run"]["trained_samples"],
    )
    assert methods["short_run"]["cost_passes"] == pytest.approx(spent / (n * 6))
    assert methods["knn"]["cost_passes"] > methods["mean"]["cost_passes"] > 0


def test_they_can_be_left_out(tmp_path):
    config = load_config(TINY, (*SMALL, "controls=false", "short_run=null"))
    metrics = run(config, tmp_path / "run")
    assert set(metrics["extrapolation"]["tdds"]["methods"]) == {"knn", "gcn", "mean"}
    assert not (tmp_path / "run/short_run").exists()


def test_forecasts_are_ordered_by_their_loss(tmp_path):
    config = load_config(
        Path(__file__).parents[2] / "configs/traffic.yaml",
        (
            "data.limit=260",
            "oracle=null",
            "arms=[]",
            "training.random_states=[0]",
            "seed_training.epochs=2",
            "training.epochs=2",
            "extrapolators=[mean]",
            "scores=[st_complexity]",
        ),
    )
    metrics = run(config, tmp_path / "run")
    (methods,) = (score["methods"] for score in metrics["extrapolation"].values())
    assert set(methods) == {"mean", "short_run", "input_complexity", "seed_errors"}
    assert np.load(tmp_path / "run/short_run/loss.npy").ndim == 2
