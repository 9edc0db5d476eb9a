"""Common ground: one thread per test process, and property tests that try the same examples every time."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import settings

from graphprune import cli
from graphprune.table import ScoreTable

settings.register_profile("ci", deadline=None, derandomize=True, max_examples=50)
settings.load_profile("ci")
torch.set_num_threads(1)

SHARED = Path(__file__).parents[1].parent / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data sets beside the repository; tests that need it skip without it."""
    if not SHARED.is_dir():
        pytest.skip("../shared/data is absent")
    return SHARED


@pytest.fixture
def run(monkeypatch, capsys):
    """Runs one command in this process; returns exit code, stdout, stderr."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["graphprune", *map(str, arguments)])
        code = 0
        try:
            cli.main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        out, err = capsys.readouterr()
        return code, out, err

    return call


@pytest.fixture
def files(tmp_path):
    """Small but complete inputs of every command, with spaces and umlauts in the path."""
    folder = tmp_path / "eine Mappe ü"
    folder.mkdir()
    draws = np.random.default_rng(0)
    n, classes, epochs = 120, 3, 14
    labels = np.arange(n) % classes
    embeddings = (draws.normal(size=(n, 5)) + labels[:, None]).astype(np.float32)
    logits = (
        draws.normal(size=(epochs, n, classes))
        + np.eye(classes)[labels] * np.arange(epochs)[:, None, None] / 4
    )
    probs = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    np.save(folder / "E.npy", embeddings)
    np.save(folder / "Y.npy", labels)
    np.savez(folder / "T.npz", probs=probs.astype(np.float32), labels=labels)
    np.savez(folder / "Q.npz", probs=probs[-2:].astype(np.float32))
    truth = (embeddings[:, 0] + draws.normal(scale=0.2, size=n)).astype(np.float32)
    ScoreTable(np.arange(n), truth, True).to_parquet(folder / "TRUTH.parquet")
    ScoreTable(np.arange(0, n, 3), truth[::3], True).to_parquet(folder / "S.parquet")
    return folder
