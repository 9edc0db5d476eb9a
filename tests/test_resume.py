"""Killed at any moment, the same command goes on, and its artifacts equal those of an uninterrupted run."""

import json
import multiprocessing
import time
from pathlib import Path

import pytest

from graphprune.config_file import load_config
from graphprune.pipeline import run

TINY = Path(__file__).parent / "tiny.yaml"
TIMED = {"cost", "seconds", "total_seconds", "fit_seconds", "predict_seconds", "wall_clock_ratio"}
NOT_BYTES = {"ledger.json", "log.jsonl", "report.html", ".lock", "provenance.json"}
FORK = multiprocessing.get_context("fork")  # a child starts at once, with everything imported


def untimed(value):
    if isinstance(value, dict):
        return {k: untimed(v) for k, v in value.items() if k not in TIMED}
    return [untimed(v) for v in value] if isinstance(value, list) else value


def artifacts(folder: Path) -> dict[str, object]:
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_dir() or path.name in NOT_BYTES or name.startswith(".stages"):
            continue
        found[name] = (
            untimed(json.loads(path.read_text())) if path.name == "metrics.json" else path.read_bytes()
        )
    return found


def start(out: Path, *overrides: str) -> multiprocessing.process.BaseProcess:
    process = FORK.Process(target=run, args=(load_config(TINY, overrides), out))
    process.start()
    return process


def started(out: Path) -> list[str]:
    try:
        lines = (out / "log.jsonl").read_text().splitlines()
    except FileNotFoundError:
        return []
    events = [json.loads(line) for line in lines if line.endswith("}")]
    return [event["stage"] for event in events if event["event"] == "started"]


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
        deadline = time.monotonic() + 120
        while stage not in started(out) and process.is_alive():
            assert time.monotonic() < deadline, f"{stage} never started"
            time.sleep(0.002)
        process.kill()
        process.join()
        assert process.exitcode == -9, f"the run ended before {stage}"
    last = start(out)
    last.join()
    assert last.exitcode == 0
    expected, found = artifacts(whole), artifacts(out)
    assert found.keys() == expected.keys()
    differing = [name for name in expected if found[name] != expected[name]]
    assert not differing
    assert not list(out.rglob(".tmp-*"))
    assert not list(out.glob(".stages/unfinished/*"))


def test_a_changed_config_redoes_just_what_it_touches(whole, tmp_path):
    import shutil

    out = tmp_path / "run"
    shutil.copytree(whole, out)
    (out / "log.jsonl").unlink()
    run(load_config(TINY, ["arms.0.keep=0.4"]), out)
    redone = started(out)
    assert "select/pruned" in redone
    assert {"train/pruned/0", "train/random/0", "train/rs2/1", "train/full_short/0"} <= set(redone)
    kept = ("seeds", "score_seeds", "embed", "graph", "extrapolate", "oracle", "evaluate", "train/full/")
    assert not [stage for stage in redone if stage.startswith(kept)]


def test_an_altered_artifact_is_redone_and_an_equal_result_stops_there(whole, tmp_path):
    import shutil

    out = tmp_path / "run"
    shutil.copytree(whole, out)
    (out / "log.jsonl").unlink()
    with (out / "embeddings.npy").open("r+b") as handle:
        handle.seek(500)
        handle.write(b"\xff")
    run(load_config(TINY), out)
    assert started(out) == ["embed"]
    assert artifacts(out) == artifacts(whole)


def test_metrics_hold_the_fixed_keys(whole):
    metrics = json.loads((whole / "metrics.json").read_text())
    assert metrics["schema"] == 1
    assert metrics["dataset"].keys() >= {"name", "n", "fingerprint"}
    assert metrics["seeds"] == {"n": 72, "fraction": 0.3}
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
