"""Arms and methods pay for everything that they use, and for nothing else."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import yaml

from graphprune.config.load import load_config, parse_config
from graphprune.data.load import load_data
from graphprune.files import read_json
from graphprune.jobs.arms import Arm, Spent, equal_cost_arms
from graphprune.jobs.pipeline import run
from graphprune.runtime.cost import Cost
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
    """The cost charged to each method, and the ledger's cost of each stage, in full trainings."""
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


def test_a_sampler_pays_for_what_windows_tell_it(tmp_path):
    changes = ("training.sampler={name: st_prune, r: 0}", "extrapolators=[knn]")
    metrics = run(load_config(ROOT / "configs/traffic.yaml", (*WINDOWS, *changes)), tmp_path / "run")
    ledger = read_json(tmp_path / "run/ledger.json")
    asked = ledger["windows/stationarity"]["seconds"] + ledger["windows/links"]["seconds"]
    trained = ledger["train/st_prune/0"]["seconds"]
    assert asked > 0
    assert metrics["training"]["st_prune"]["total_seconds"] == pytest.approx(asked + trained)
    # Windows of the whole network have no links.
    assert np.load(tmp_path / "run/windows/links.npy").size == 0
    assert len(np.load(tmp_path / "run/windows/stationarity.npy")) == metrics["dataset"]["n"]


def test_where_a_paradigm_tells_no_errors_the_graph_is_paid_for(tmp_path):
    config = load_config(ROOT / "configs/traffic.yaml", WINDOWS)
    own = Forecasting(info=load_data(config.data).info)
    cost, spent = charged(config, tmp_path / "run", paradigm=own)
    assert "seed_errors" not in spent
    assert cost["auto"] == cost["knn"] > spent["embed"] > 0


def test_arms_pay_for_the_seeds_in_their_table_and_for_what_their_rule_reads(tmp_path):
    """Every table contains the seeds' measured scores; `d2` uses the graph and `moderate` the embeddings."""
    arms = [
        {"name": "short", "score": "tdds", "extrapolator": "short_run"},
        {"name": "plain", "score": "tdds", "extrapolator": "auto"},
        {"name": "diverse", "score": "tdds", "extrapolator": "auto", "rule": "d2"},
        {"name": "middle", "score": "tdds", "extrapolator": "auto", "rule": "moderate"},
        {
            "name": "drawn",
            "score": "tdds",
            "second_score": "confidence",
            "extrapolator": "auto",
            "rule": "beta",
        },
    ]
    scores = [{"name": "tdds", "T": 6, "window": 4}, {"name": "confidence", "reduce": "mean"}]
    options = {"extrapolators": ["auto", "short_run"], "scores": scores}
    content = yaml.safe_load((ROOT / "tests/tiny.yaml").read_text())
    content |= {**options, "arms": arms, "oracle": None, "controls": False}
    content["training"]["random_states"] = [0]
    config, out = parse_config(content), tmp_path / "run"
    metrics = run(config, out)
    ledger, unit = read_json(out / "ledger.json"), 3 * metrics["dataset"]["n"] * config.training.epochs

    def passes(*stages):
        return sum(3 * ledger[s]["trained_samples"] + ledger[s]["forward_samples"] for s in stages) / unit

    def before_training(name):
        return metrics["training"][name]["cost_passes"] - passes(f"train/{name}/0")

    looked = passes("seed_training", "seed_looks")
    assert before_training("short") == pytest.approx(passes("seed_training", "short_run"))
    assert before_training("plain") == pytest.approx(looked)
    for name in ("diverse", "middle"):
        assert before_training(name) == pytest.approx(looked + passes("embed"))
    # The second score is recorded on evaluation passes, which the first one does not need.
    evaluated = passes("seed_training_evaluation")
    assert evaluated > 0
    assert before_training("drawn") == pytest.approx(looked + evaluated)


FULL = Cost(seconds=30.0, trained_samples=3000)


def equal_cost(spent, *, budget="passes", full=FULL):
    """Names and epochs of the arms that spend the cost of each of ``spent``; 100 samples, 30 epochs."""
    training = SimpleNamespace(epochs=30, budget=budget)
    job = SimpleNamespace(config=SimpleNamespace(training=training), data=SimpleNamespace(train=range(100)))
    done = [
        ("full", full, 1.0),
        ("random", Cost(), 0.5),
        *((f"mine{i}", c, 0.5) for i, c in enumerate(spent)),
    ]
    found = equal_cost_arms(
        job, [(Arm(name, keep, 30, None, None), Spent(cost, cost)) for name, cost, keep in done]
    )
    return {arm.name: arm.epochs for arm in found if arm.name.startswith("full_short")}


def test_budgets_share_their_arms_only_where_they_are_alike():
    close = [Cost(trained_samples=n) for n in (1500, 1503)]
    assert equal_cost(close) == {"full_short": pytest.approx(15.0)}
    small = [Cost(trained_samples=n) for n in (136, 164)]
    assert sorted(equal_cost(small).values()) == pytest.approx([1.36, 1.64])


def test_seconds_of_a_full_run_that_stopped_early_buy_its_own_epochs():
    stopped = Cost(seconds=10.0, trained_samples=1000)
    assert equal_cost([Cost(seconds=5.0)], budget="seconds", full=stopped)["full_short"] == pytest.approx(5.0)
