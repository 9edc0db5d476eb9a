"""The plan counts the samples that the run then trains on, and leaves nothing behind."""

import json
import tempfile
from pathlib import Path

import pytest
import torch

from graphprune.config_file import load_config
from graphprune.data.load import load_data
from graphprune.pipeline import run
from graphprune.planning.calibrate import Measured, Part
from graphprune.planning.predict import plan

TINY = Path(__file__).parents[1] / "tiny.yaml"
SMALLER = ["training.random_states=[0]", "oracle.runs=1", "extrapolators=[{name: knn, k: 5}, mean]", "controls=false",
           "arms.0.extrapolator=knn"]  # fmt: skip


def test_the_plan_names_the_stages_of_the_run_and_counts_their_samples(tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    monkeypatch.setattr("graphprune.planning.calibrate._TARGET_SECONDS", 0.01)
    config = load_config(TINY, SMALLER)
    found = plan(config)
    assert not list(scratch.glob("graphprune*"))
    metrics = run(config, tmp_path / "run")
    trained: dict[str, int] = {}
    for name, cost in json.loads((tmp_path / "run/ledger.json").read_text()).items():
        parts = name.split("/")
        folded = "/".join(parts[:2]) if parts[0] in ("train", "select") else parts[0]
        trained[folded] = trained.get(folded, 0) + cost["trained_samples"]
    expected = {stage.name: stage.trained_samples for stage in found.stages}
    assert expected.keys() - {"other"} == trained.keys() - {"seeds"}
    for name, samples in trained.items():
        # Equal-cost budgets and seeds per class are rounded on the way.
        assert expected.get(name, 0) == pytest.approx(samples, rel=0.02, abs=10), name
    assert set(metrics["training"]) == {name[6:] for name in expected if name.startswith("train/")}
    assert found.total.seconds > 0
    assert found.total.peak_mib > 100
    size = sum(path.stat().st_size for path in (tmp_path / "run").rglob("*") if path.is_file()) / 2**20
    assert size / 1.5 < found.total.disk_mib < 1.5 * size


def test_windows_are_planned_with_every_control(monkeypatch):
    monkeypatch.setattr("graphprune.planning.calibrate._TARGET_SECONDS", 0.01)
    traffic = Path(__file__).parents[2] / "configs/traffic.yaml"
    small = ["data.limit=500", "training.random_states=[0]", "extrapolators=[knn, ridge]", "arms=[]"]
    found = plan(load_config(traffic, small))
    assert found.notes == ()
    assert {"seed_training", "seed_training_evaluation", "extrapolate", "oracle", "train/full", "other"} <= {
        stage.name for stage in found.stages
    }


def test_measurements_scale_from_a_part_to_the_whole():
    measured = Measured(n=100, seconds=2.0, base_mib=500.0, peak_mib=510.0)
    assert measured.seconds_for(300) == 6.0
    assert measured.seconds_for(300, power=2.0) == 18.0
    assert measured.peak_for(300) == 530.0
    assert measured.peak_for(50) == 510.0


def test_a_part_holds_the_same_samples_under_rows_of_its_own():
    train = load_data(load_config(TINY).data).train
    rows = torch.tensor([3, 50, 51, 200])
    part = Part(train, rows)
    device = torch.device("cpu")
    mine = list(part.batches(iter([torch.tensor([2, 0]), torch.tensor([3])]), device=device))
    theirs = list(train.batches(iter([rows[[2, 0]], rows[[3]]]), device=device))
    assert len(part) == 4
    assert [batch.rows.tolist() for batch in mine] == [[2, 0], [3]]
    for own, other in zip(mine, theirs, strict=True):
        assert torch.equal(own.x, other.x)
        assert torch.equal(own.y, other.y)
    assert part.ids.tolist() == train.ids[rows.numpy()].tolist()
