"""`graphprune run` and `graphprune train` started by torchrun: two processes do the job that one does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from graphprune.config.load import load_config
from graphprune.jobs.pipeline import run
from graphprune.table import ScoreTable
from graphprune.train.process_group import ProcessGroup

JOB = {
    "name": "two",
    "device": "cpu",
    "data": {"kind": "sklearn", "name": "digits", "limit": 200},
    # Without batch norm, whose statistics on CPUs are each process's own.
    "model": {"name": "mlp", "depth": 0},
    "seeds": {"fraction": 0.4},
    "seed_training": {"epochs": 4, "batch_size": 30, "lr": 0.05},
    "scores": [{"name": "dynamic_uncertainty", "window": 2}, "loss"],
    "graph": {"k": 5, "metric": "euclidean"},
    "extrapolators": [{"name": "knn", "k": 5}],
    "controls": False,
    "oracle": {"runs": 1},
    "audit": {"epochs": 3},
    "arms": [
        {"name": "half", "score": "loss"},
        {
            "name": "jest",
            "sampler": {"name": "jest", "keep": 0.5, "draw": "top", "reference_losses": "run"},
        },
    ],
    "training": {"epochs": 4, "random_states": [0]},
}


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """The run folders of one process and of two, and what the two printed: a run, anew, the same again, and one arm."""
    folder = tmp_path_factory.mktemp("whole")
    job, one, two = folder / "job.yaml", folder / "one", folder / "two"
    job.write_text(yaml.safe_dump(JOB))
    run(load_config(job), one)
    again = ["run", str(job), "--out", str(two), "--json"]
    selection = ["--selection", str(one / "selections/half.parquet")]
    commands = [
        again,
        [*again, "--fresh"],
        again,
        ["train", str(job), *selection, "--out", str(folder / "arm"), "--json"],
    ]
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    started = subprocess.run(
        [*torchrun, str(Path(__file__).parent / "commands.py"), json.dumps(commands)],
        env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert started.returncode == 0, started.stderr[-3000:]
    printed, rest = [], started.stdout.strip()
    while rest:
        value, end = json.JSONDecoder().raw_decode(rest)
        printed.append(value)
        rest = rest[end:].strip()
    return one, two, printed


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_both_leave_the_same_files_and_each_result_is_printed_once(done):
    one, two, printed = done
    assert files(one) == files(two)
    assert len(printed) == 4
    assert printed[0].keys() == json.loads((two / "metrics.json").read_text()).keys()
    assert printed[2]["training"].keys() == printed[1]["training"].keys() == printed[0]["training"].keys()


def test_scores_predictions_and_trainings_are_equal_to_rounding(done):
    one, two, _ = done
    tables = [name for name in files(one) if name.endswith(".parquet") and "seeds" not in name]
    compared = [name for name in tables if not name.startswith("selections")]
    assert {name.partition("/")[0] for name in compared} == {"scores", "oracle", "predictions", "heldout"}
    for name in compared:
        ours, theirs = (ScoreTable.from_parquet(folder / name) for folder in (two, one))
        np.testing.assert_allclose(ours.values, theirs.values, rtol=1e-3, atol=1e-4, err_msg=name)
    for name in [n for n in files(one) if n.startswith(("short_run", "audit", "embeddings"))]:
        ours, theirs = (np.load(folder / name).astype(np.float32) for folder in (two, one))
        np.testing.assert_allclose(ours, theirs, rtol=2e-3, atol=2e-3, err_msg=name)
    for arm in ("full", "random", "rs2"):
        ours, theirs = (np.load(folder / f"arms/{arm}/0.visits.npy") for folder in (two, one))
        np.testing.assert_array_equal(ours, theirs)
    ours, theirs = (json.loads((f / "metrics.json").read_text())["training"] for f in (two, one))
    assert ours.keys() == theirs.keys() >= {"full", "half", "jest"}
    for arm in ours:
        assert ours[arm]["value"] == pytest.approx(theirs[arm]["value"], abs=0.03), arm
        assert ours[arm]["backward_samples"] == theirs[arm]["backward_samples"], arm
        assert ours[arm]["cost_passes"] == pytest.approx(theirs[arm]["cost_passes"]), arm


def test_each_stage_is_done_once_and_kept_when_the_command_comes_again(done):
    events = [json.loads(line) for line in (done[1] / "log.jsonl").read_text().splitlines()]
    by_kind = {
        kind: [line["stage"] for line in events if line["event"] == kind]
        for kind in ("started", "finished", "kept")
    }
    assert by_kind["started"] == by_kind["finished"] == by_kind["kept"]
    assert len(set(by_kind["kept"])) == len(by_kind["kept"])


def test_a_single_arm_trains_in_two_processes(done):
    _, two, printed = done
    (arm,) = printed[3]["training"].values()
    assert arm["backward_samples"] == 4 * 80
    written = {path.name for path in (two.parent / "arm/arms/selection").iterdir()}
    assert written == {"0.json", "0.safetensors", "0.visits.npy"}


def test_a_run_without_a_launcher_joins_nobody(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    ranks = ProcessGroup.join("cpu")
    assert (ranks.rank, ranks.size, ranks.as_first(True)) == (0, 1, True)
