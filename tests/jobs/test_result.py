"""What a run returns to Python programs, and what its folder returns later."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

import graphprune
from graphprune.config.load import load_config
from graphprune.errors import InputError

TINY = Path(__file__).parents[1] / "tiny.yaml"
SMALL = ["oracle=null", "controls=false", "training.random_states=[0]", "extrapolators=[{name: knn, k: 5}]",
         "arms.0.extrapolator=knn"]  # fmt: skip


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    return graphprune.run(load_config(TINY, SMALL), tmp_path_factory.mktemp("runs") / "tiny")


def test_it_is_a_mapping_over_the_metrics_of_its_folder(result):
    stored = json.loads((result.path / "metrics.json").read_text())
    assert isinstance(result, Mapping)
    assert dict(result) == result.metrics == stored
    assert len(result) == len(stored)
    assert dict(graphprune.RunResult.open(str(result.path))) == stored
    assert result.verdict == stored["verdict"]["sentence"]


def test_it_reads_scores_predictions_and_selections(result):
    score, arm = next(iter(result["extrapolation"])), "pruned"
    measured, predicted = result.scores(score), result.predictions(score, "knn")
    assert len(measured) == result["seeds"]["n"]
    assert len(predicted) == result["dataset"]["n"]
    assert predicted.values[predicted.rows_of(measured.ids, "seeds")].tolist() == measured.values.tolist()
    assert set(result.selection(arm).ids) <= set(predicted.ids)
    with pytest.raises(
        InputError, match=r"predictions/aum/gcn.parquet does not exist; this run has the predictions "
    ):
        result.predictions("aum", "gcn")
    with pytest.raises(InputError, match="this run has the selections pruned"):
        result.selection("nothing")


def test_arms_as_a_data_frame_and_as_html(result):
    frame = result.to_pandas()
    assert list(frame.index) == list(result["training"])
    assert frame.loc["full", "mean"] == result["training"]["full"]["mean"]
    page = result._repr_html_()
    assert page.count("<tr>") == 1 + len(frame)
    assert repr(result).startswith(f"RunResult('{result.path}', arms: full, ")


def test_html_escapes_names(result):
    arms = {"<b>": result["training"]["full"]}
    page = graphprune.RunResult(result.path, {**result.metrics, "training": arms})._repr_html_()
    assert "<b>" not in page
    assert "&lt;b&gt;" in page


def test_a_folder_without_a_finished_run_is_refused(tmp_path):
    with pytest.raises(InputError, match="has no metrics.json; pass the folder of a finished run"):
        graphprune.RunResult.open(tmp_path)
