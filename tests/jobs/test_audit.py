"""Truncated full runs equal the beginnings of full runs, and every method is audited by them."""

from pathlib import Path

import numpy as np
import pytest

from graphprune.cli.console import summary
from graphprune.config.load import load_config
from graphprune.errors import InputError
from graphprune.files import read_json
from graphprune.jobs.pipeline import run

TINY = Path(__file__).parents[1] / "tiny.yaml"
SMALL = ("oracle=null", "arms=[]", "training.random_states=[0]", "scores=[{name: aum}]", "controls=false")


def test_every_method_gets_an_interval_and_the_ledger_the_cost(tmp_path):
    metrics = run(load_config(TINY, (*SMALL, "audit={epochs: 4}", "short_run=null")), tmp_path / "run")
    for method in ("knn", "gcn"):
        found = metrics["extrapolation"]["aum"]["methods"][method]["audit"]
        assert (found["epochs"], found["full_epochs"]) == ([2, 3, 4], 6)
        low, high = found["interval"]
        assert low <= found["spearman"][-1] <= high
    page = (tmp_path / "run/report.html").read_text()
    assert "stopped after 4 of\n  6 epochs" in page
    assert "full runs (audit)" in summary(metrics)
    begun = np.load(tmp_path / "run/audit/0/aum.npy")
    assert begun.shape == (3, metrics["dataset"]["n"])
    assert not np.array_equal(begun[0], begun[1])
    spent = read_json(tmp_path / "run/ledger.json")["audit/0"]
    assert spent["trained_samples"] == 4 * metrics["dataset"]["n"]


def test_longer_than_a_full_run_is_refused():
    with pytest.raises(InputError, match="audit.epochs is 7 but training.epochs is 6"):
        load_config(TINY, (*SMALL, "audit={epochs: 7}"))
