"""Fixtures: a training that is killed and resumed, and a complete job that takes seconds."""

import pytest

from graphprune.train.checkpoint import Checkpoint


class Killed(Exception):
    pass


@pytest.fixture
def resumed(tmp_path):
    """Kills ``train(checkpoint=..., progress=...)`` in step ``kill_at``; returns the result of the next attempt."""

    def call(train, kill_at):
        checkpoint, steps = Checkpoint(tmp_path / "c.pt", every_seconds=0), iter(range(1, kill_at))

        def progress(_fraction: float, _note: str) -> None:
            if next(steps, None) is None:
                raise Killed

        with pytest.raises(Killed):
            train(checkpoint=checkpoint, progress=progress)
        return train(checkpoint=checkpoint)

    return call


@pytest.fixture
def job():
    """The config of a small job; each test adds data and paradigm."""
    return {
        "name": "job",
        "model": {"name": "mlp", "width": 16, "depth": 1},
        "seeds": {"fraction": 0.4},
        "seed_training": {"epochs": 4, "batch_size": 32, "lr": 0.05},
        "scores": [{"name": "dynamic_uncertainty", "window": 2}],
        "graph": {"k": 5, "metric": "euclidean"},
        "extrapolators": [{"name": "knn", "k": 5}],
        "controls": False,
        "short_run": None,
        "training": {"epochs": 2, "random_states": [0]},
    }
