"""One training by `train_distributed`, here in one process."""

from functools import partial
from pathlib import Path

import pytest

from graphprune.config.base import Method
from graphprune.config.load import load_config, parse_config
from graphprune.data.load import load_data
from graphprune.jobs import distributed
from graphprune.jobs.stages.windows import window_option, window_options
from graphprune.train.checkpoint import Checkpoint

ROOT = Path(__file__).parents[2]


class Stopped(Exception):
    pass


def config(lr, seed=0):
    return parse_config(
        {
            "name": "alone",
            "seed": seed,
            "device": "cpu",
            "data": {"kind": "sklearn", "name": "iris"},
            "model": {"name": "mlp", "width": 8, "depth": 0},
            "training": {"epochs": 3, "batch_size": 20, "lr": lr, "random_states": [3]},
        }
    )


def test_what_another_config_left_is_not_gone_on_with(tmp_path, monkeypatch):
    fresh = distributed.train_distributed(config(0.05), tmp_path / "fresh")

    def stop(*_args, **_named):
        raise Stopped

    with monkeypatch.context() as patch:
        patch.setattr(distributed, "Checkpoint", partial(Checkpoint, every_seconds=0))
        patch.setattr(distributed, "evaluate_model", stop)
        for left in (config(0.5), config(0.05, seed=9)):
            with pytest.raises(Stopped):
                distributed.train_distributed(left, tmp_path / "out")
        with pytest.raises(Stopped):
            distributed.train_distributed(config(0.05), tmp_path / "out", method=Method(name="rs2", keep=0.5))
    assert len(list((tmp_path / "out").glob("checkpoint-*.pt"))) == 3
    again = distributed.train_distributed(config(0.05), tmp_path / "out")
    for result in (fresh, again):
        result["cost"] = {name: value for name, value in result["cost"].items() if name.endswith("samples")}
    assert again == fresh


def test_the_same_call_goes_on_where_it_stopped(tmp_path, monkeypatch):
    whole = distributed.train_distributed(config(0.05), tmp_path / "whole")
    monkeypatch.setattr(distributed, "Checkpoint", partial(Checkpoint, every_seconds=0))
    with monkeypatch.context() as patch:
        patch.setattr(distributed, "evaluate_model", None)
        with pytest.raises(TypeError):
            distributed.train_distributed(config(0.05), tmp_path / "out")
    trained = []
    train_model = distributed.train_model

    def watched(*args, **named):
        named["progress"] = lambda *_: trained.append(1)
        return train_model(*args, **named)

    monkeypatch.setattr(distributed, "train_model", watched)
    assert distributed.train_distributed(config(0.05), tmp_path / "out")["losses"] == whole["losses"]
    assert not trained


def test_windows_tell_a_sampler_what_it_asks_for():
    samples = load_data(load_config(ROOT / "configs/traffic.yaml", ["data.limit=260"]).data).train
    assert window_options(samples, Method(name="st_prune")) == ["stationarity", "links"]
    assert len(window_option(samples, "stationarity")) == len(samples)
    assert window_options(samples, Method(name="st_prune", stationarity="mine")) == ["links"]
    assert window_options(samples, Method(name="infobatch")) == []
