"""A run killed at any moment resumes, and its artifacts equal those of an uninterrupted run."""

import json
import multiprocessing.process
import shutil
from pathlib import Path

import pytest

from experiments.soak.artifacts import FORK, artifacts, compare, started, wait_for
from experiments.soak.same_bytes import lazily, same_bytes, same_bytes_on_threads, with_workers
from graphprune.config.data import ObjectData
from graphprune.config.load import load_config
from graphprune.data.load import load_data
from graphprune.jobs.pipeline import run

TINY = Path(__file__).parent / "tiny.yaml"
TRAFFIC = Path(__file__).parents[1] / "configs/traffic.yaml"
SMALL = ["training.random_states=[0]", "controls=false", "short_run=null", "oracle=null", "graph.k=5",
         "extrapolators=[{name: knn, k: 3}, {name: gcn, steps: 5}]", "seed_training.epochs=1",
         "training.epochs=1"]  # fmt: skip


def start(out: Path, *overrides: str) -> multiprocessing.process.BaseProcess:
    process = FORK.Process(target=run, args=(load_config(TINY, overrides), out))
    process.start()
    return process


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole") / "run"
    run(load_config(TINY), out)
    return out


def test_a_run_killed_at_many_stages_ends_with_the_same_artifacts(whole, tmp_path):
    out = tmp_path / "run"
    for stage in (
        "score_seeds",
        "graph",
        "extrapolate/tdds/gcn",
        "oracle/1",
        "evaluate",
        "select/pruned",
        "train/full/1",
        "train/rs2_equal_cost/0",
    ):
        process = start(out)
        wait_for(lambda stage=stage: stage in started(out), process)
        process.kill()
        process.join()
        assert process.exitcode == -9, f"the run ended before {stage}"
    last = start(out)
    last.join()
    assert last.exitcode == 0
    compare(artifacts(whole), out)


def test_a_changed_config_redoes_just_what_it_touches(whole, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    (out / "log.jsonl").unlink()
    run(load_config(TINY, ["arms.0.keep=0.4"]), out)
    redone = started(out)
    assert "select/pruned" in redone
    assert {"train/pruned/0", "train/random/0", "train/rs2/1", "train/full_short/0"} <= set(redone)
    kept = ("seeds", "score_seeds", "embed", "graph", "extrapolate", "oracle", "evaluate", "train/full/")
    assert not [stage for stage in redone if stage.startswith(kept)]


def test_more_workers_redo_nothing(whole, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    (out / "log.jsonl").unlink()
    run(load_config(TINY, ["seed_training.workers=2"]), out)
    assert started(out) == []


def test_an_altered_artifact_is_redone_and_an_equal_result_stops_there(whole, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(whole, out)
    (out / "log.jsonl").unlink()
    with (out / "embeddings.npy").open("r+b") as handle:
        handle.seek(500)
        handle.write(b"\xff")
    run(load_config(TINY), out)
    assert started(out) == ["embed"]
    compare(artifacts(whole), out)


@pytest.mark.parametrize(
    ("config", "overrides"),
    [
        (TINY, ["data.limit=120", "scores=[{name: aum}]", "arms=[{name: a, score: aum, extrapolator: gcn}]"]),
        (TRAFFIC, ["data.limit=200", "scores=[st_complexity]", "arms=[]", "training.sampler=st_prune"]),
    ],
    ids=["images", "windows"],
)
def test_workers_threads_and_kills_leave_the_same_bytes(config, overrides, tmp_path):
    job, data = load_config(config, [*SMALL, *overrides]), None
    if config == TINY:
        data = lazily(load_data(job.data))
        job = job.model_copy(update={"data": ObjectData(kind="object")})
    assert same_bytes(job, tmp_path, data=data, kills=1)["artifacts"] > 20
    job = with_workers(job, 1)
    threads = same_bytes_on_threads(job, tmp_path / "whole-1", tmp_path / "threads", data=data)
    assert threads["stages"] >= 4


def test_metrics_hold_the_fixed_keys(whole):
    metrics = json.loads((whole / "metrics.json").read_text())
    assert metrics["schema"] == 1
    assert metrics["dataset"].keys() >= {"name", "n", "n_test", "fingerprint"}
    assert metrics["seeds"]["n"] == 72
    assert metrics["seeds"]["fraction"] == 0.3
    for score in ("dynamic_uncertainty", "tdds"):
        judged = metrics["extrapolation"][score]
        assert judged["ceiling"].keys() >= {"seed_vs_full", "full_vs_full"}
        assert judged["methods"].keys() >= {"knn", "gcn", "mean", "rank_sum", "short_run"}
        for result in judged["methods"].values():
            assert result.keys() >= {"heldout", "oracle", "fit_seconds", "predict_seconds", "cost_passes"}
            assert result["oracle"]["n"] == 240 - 72
    arms = metrics["training"]
    assert arms["pruned"]["equal_cost"] == ["full_short", "random_equal_cost", "rs2_equal_cost"]
    assert arms.keys() == {
        "full", "random", "rs2", "pruned", "full_short", "random_equal_cost", "rs2_equal_cost",
    }  # fmt: skip
    for name, arm in arms.items():
        assert arm.keys() >= {
            "keep", "metric", "value", "mean", "std", "seconds", "samples_seen", "backward_samples", "budget",
        }  # fmt: skip
        assert len(arm["value"]) == 2
        assert arm["mean"] == pytest.approx(sum(arm["value"]) / 2)
        assert name == "full" or metrics["saving"][name].keys() == {"wall_clock_ratio", "metric_delta"}


def test_the_same_total_is_spent_on_the_equal_cost_arms(whole):
    metrics = json.loads((whole / "metrics.json").read_text())
    arms = metrics["training"]
    # Seed run: 72 of 240 samples for 6 epochs; one embedding pass; then half of the data for 6 epochs.
    passes = (3 * 72 * 6 + 240 + 3 * 120 * 6) / (3 * 240 * 6)
    assert arms["pruned"]["cost_passes"] == pytest.approx(passes)
    for name in ("full_short", "random_equal_cost", "rs2_equal_cost"):
        assert arms[name]["cost_passes"] == pytest.approx(passes, abs=1 / (240 * 6))
    assert arms["full"]["cost_passes"] == 1
