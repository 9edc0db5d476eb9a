"""Trackers: always JSON lines; TensorBoard and MLflow only if requested and installed."""

import json
import sys
import types

import numpy as np
import pytest
import torch
from torch import nn

from graphprune.config.load import parse_config
from graphprune.config.training import OptimizationConfig
from graphprune.data.base import TensorSamples
from graphprune.errors import InputError
from graphprune.jobs.checks import check_names
from graphprune.registry import create
from graphprune.train.loop import train_model
from graphprune.train.paradigms.supervised import Supervised
from graphprune.train.tracking import JsonlTracker, MLflowTracker, TensorBoardTracker, make_tracker


class FakeClient:
    """The part of MLflow's client that MLflowTracker uses."""

    experiments: dict[str, int] = {}  # noqa: RUF012
    logged: list = []  # noqa: RUF012

    def __init__(self, tracking_uri=None):
        self.uri = tracking_uri

    def get_experiment_by_name(self, name):
        number = self.experiments.get(name)
        return None if number is None else types.SimpleNamespace(experiment_id=number)

    def create_experiment(self, name):
        self.experiments[name] = len(self.experiments)
        return self.experiments[name]

    def create_run(self, experiment, run_name):
        run = f"{experiment}/{run_name}"
        return types.SimpleNamespace(info=types.SimpleNamespace(run_id=run))

    def log_metric(self, run, name, value, step=0):
        self.logged.append((run, name, value, step))

    def log_dict(self, run, values, path):
        self.logged.append((run, path, values, 0))

    def set_terminated(self, run):
        self.logged.append((run, "end", None, 0))


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_epoch_is_a_line_with_its_loss_rate_speed_and_kept_share(tmp_path):
    labels = np.arange(40) % 2
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    path = tmp_path / "log.jsonl"
    result = train_model(
        nn.Linear(3, 2),
        TensorSamples(x, labels),
        Supervised(),
        create("sampler", "rs2", n=40, keep=0.5, epochs=3),
        OptimizationConfig(epochs=3, batch_size=8, lr=0.1, schedule="constant"),
        seed=0,
        device=torch.device("cpu"),
        tracker=JsonlTracker(path, "train/a/0"),
    )
    found = lines(path)
    assert [line["epoch"] for line in found] == [0, 1, 2]
    assert [line["loss"] for line in found] == pytest.approx(result.losses, abs=1e-6)
    for line in found:
        assert line["event"] == "epoch"
        assert line["stage"] == "train/a/0"
        assert (line["kept"], line["lr"]) == (0.5, 0.1)
        assert line["samples_per_second"] > 0
    assert found[-1]["seconds"] == pytest.approx(result.cost.seconds, abs=1e-5)


def test_a_histogram_counts_all_finite_values(tmp_path):
    tracker = make_tracker((), tmp_path, "job", "scores")
    tracker.histogram("loss", torch.tensor([0.0, 1.0, 1.0, 2.0, float("nan")]))
    (line,) = lines(tmp_path / "log.jsonl")
    assert sum(line["counts"]) == 4
    assert (line["edges"][0], line["edges"][-1], len(line["edges"])) == (0.0, 2.0, 21)


def test_mlflow_gets_one_run_per_stage_in_one_experiment(monkeypatch):
    module = types.ModuleType("mlflow.tracking")
    module.MlflowClient = FakeClient
    monkeypatch.setitem(sys.modules, "mlflow", types.ModuleType("mlflow"))
    monkeypatch.setitem(sys.modules, "mlflow.tracking", module)
    monkeypatch.setattr(FakeClient, "logged", [])
    monkeypatch.setattr(FakeClient, "experiments", {})
    for stage in ("a", "b"):
        tracker = MLflowTracker("job", stage)
        tracker.log(3, {"loss": 0.5})
        tracker.summary({"seconds": 2.0})
        tracker.close()
    assert FakeClient.experiments == {"job": 0}
    assert ("0/a", "loss", 0.5, 3) in FakeClient.logged
    assert ("0/b", "seconds", 2.0, 0) in FakeClient.logged
    assert FakeClient.logged[-1] == ("0/b", "end", None, 0)


def test_tensorboard_writes_event_files(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed (extra: track)")
    tracker = TensorBoardTracker(tmp_path / "tb")
    tracker.log(0, {"loss": 1.0})
    tracker.histogram("loss", torch.arange(5.0))
    tracker.close()
    assert list((tmp_path / "tb").glob("events*"))


def test_mlflow_itself_accepts_the_figures(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    pytest.importorskip("mlflow", reason="mlflow is not installed (extra: track)")
    from mlflow.tracking import MlflowClient

    tracker = MLflowTracker("job", "stage", uri=tmp_path.as_uri())
    tracker.log(1, {"loss": 0.25})
    tracker.close()
    client = MlflowClient(tracking_uri=tmp_path.as_uri())
    (found,) = client.search_runs([client.get_experiment_by_name("job").experiment_id])
    assert found.data.metrics == {"loss": 0.25}


@pytest.mark.parametrize("kind", ["tensorboard", "mlflow"])
def test_a_missing_tracker_is_named_before_any_work(monkeypatch, kind):
    import importlib.util

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    config = parse_config({"name": "x", "data": {"kind": "sklearn"}, "track": [kind]})
    with pytest.raises(InputError, match=rf"{kind} is not installed.*graphprune\[track\]"):
        check_names(config)
