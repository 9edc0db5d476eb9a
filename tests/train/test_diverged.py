"""Diverged trainings are reported, and weights of any model can be saved."""

import json
import math

import pytest
import torch
from torch import nn

from graphprune.config.load import parse_config
from graphprune.data.images import load_sklearn
from graphprune.errors import TrainingDiverged
from graphprune.jobs import arms
from graphprune.jobs.pipeline import run
from graphprune.train.checkpoint import load_weights, save_weights
from graphprune.train.divergence import refuse_diverged


def config_of(job, **training):
    content = {**job, "data": {"kind": "object"}, "arms": []}
    content["training"] = {**content["training"], **training}
    return parse_config(content)


@pytest.mark.parametrize("section", ["seed_training", "training"])
def test_a_training_with_non_finite_weights_is_rejected_by_name(job, tmp_path, section):
    config = config_of({**job, section: {**job[section], "lr": 1e3, "schedule": "constant"}}, batch_size=8)
    if section == "training":
        config = config.model_copy(
            update={"seed_training": parse_config({**job, "data": {"kind": "object"}}).seed_training}
        )
    name = "run 'seed'" if section == "seed_training" else "arm 'full', random seed 0"
    with pytest.raises(TrainingDiverged, match=f"{name}: the training diverged .* lower lr"):
        run(config, tmp_path / "run", data=load_sklearn("digits", limit=150))


def test_non_finite_weights_and_results_are_rejected():
    refuse_diverged(nn.Linear(2, 2), "arm")
    broken = nn.Linear(2, 2)
    broken.bias.data[0] = torch.inf
    with pytest.raises(TrainingDiverged, match="arm: the training diverged"):
        refuse_diverged(broken, "arm")
    with pytest.raises(TrainingDiverged, match="diverged"):
        refuse_diverged(nn.Linear(2, 2), "arm", float("nan"))


def test_an_infinite_loss_that_was_overcome_is_written_as_null(job, tmp_path, monkeypatch):
    train = arms.train_model

    def overflowing(*args, **named):
        result = train(*args, **named)
        result.losses[0] = math.inf
        return result

    monkeypatch.setattr(arms, "train_model", overflowing)
    run(config_of(job), tmp_path / "run", data=load_sklearn("digits", limit=150))
    losses = json.loads((tmp_path / "run/arms/full/0.json").read_text())["losses"]
    assert losses[0] is None
    assert losses[1] > 0


def test_tied_weights_are_saved_and_loaded(tmp_path):
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
            self.second.weight = self.first.weight

    model, again = Tied(), Tied()
    save_weights(model, tmp_path / "w.safetensors")
    load_weights(again, tmp_path / "w.safetensors")
    assert torch.equal(again.first.weight, model.first.weight)
    assert again.second.weight is again.first.weight
