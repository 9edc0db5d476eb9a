"""The plan names the stages of the run, counts their samples exactly, and leaves no files."""

import json
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from graphprune.config.load import load_config, parse_config
from graphprune.data.load import load_data
from graphprune.errors import InputError
from graphprune.jobs.pipeline import run
from graphprune.jobs.plan.account import visits
from graphprune.jobs.plan.measured import Measured, Part
from graphprune.jobs.plan.predict import plan
from graphprune.runtime.cost import folded

TINY = Path(__file__).parents[1] / "tiny.yaml"
SMALLER = ["training.random_states=[0]", "oracle.runs=1", "extrapolators=[{name: knn, k: 5}, mean]", "controls=false",
           "arms.0.extrapolator=knn"]  # fmt: skip


BASE = {
    "name": "tiny",
    "data": {"kind": "sklearn", "name": "digits", "limit": 150},
    "seeds": {"fraction": 0.4},
    "model": {"name": "mlp", "width": 16, "depth": 1},
    "seed_training": {"epochs": 4, "batch_size": 32, "lr": 0.05},
    "scores": ["aum", {"name": "tdds", "T": 4, "window": 3}],
    "graph": {"k": 5, "metric": "euclidean"},
    "extrapolators": [{"name": "knn", "k": 5}, "mean"],
    "controls": False,
    "short_run": None,
    "arms": [{"name": "pruned", "score": "aum", "rule": "top_per_class", "keep": 0.4}],
    "training": {"epochs": 4, "batch_size": 32, "random_states": [0]},
}
ATTACK = {"name": "adversarial", "epsilon": 1.5, "step": 0.5, "steps": 2}
JEST = {"name": "jest", "keep": 0.5, "reference_losses": "run"}
GSTDS = {"name": "gstds", "graph": "run", "filter": 0.3, "schedule": "linear"}
WEIGHTED = {"name": "score_weighted", "keep": 0.3}
VARIANTS: dict[str, dict[str, Any]] = {
    "everything": {"oracle": {"runs": 2}, "short_run": {}, "controls": True},
    "looks": {"extrapolators": ["auto", "knn"], "scores": ["el2n"], "short_run": {},
              "seeds": {"fraction": 0.4, "background": 1.37},
              "arms": [{"name": "pruned", "score": "el2n", "extrapolator": "auto", "keep": 0.4}]},
    "epoch signals": {"extrapolators": ["auto", "knn"], "seeds": {"fraction": 0.4, "background": 9}},
    "audit": {"audit": {"runs": 2}, "scores": ["aum", "loss"]},
    "partial epochs": {"seed_training": {"epochs": 4.3}, "training": {"epochs": 4.7, "baselines_keep": 0.37}},
    "warm": {"training": {"init": "seed", "shrink_and_perturb": {}},
             "arms": [*BASE["arms"], {"name": "cold", "sampler": {"name": "rs2"}, "init": "fresh"},
                      {"name": "drawn", "sampler": {"name": "random", "keep": 0.5}}]},
    "pgd": {"paradigm": ATTACK, "scores": ["aum", "loss"], "oracle": {"runs": 1}, "audit": {},
            "extrapolators": ["auto", "knn"]},
    "pgd, no epoch signals": {"paradigm": ATTACK, "scores": ["aum", "loss"]},
    "trades": {"paradigm": {**ATTACK, "method": "trades", "signals": "clean"}, "scores": ["loss", "aum"]},
    "found labels": {"paradigm": {"name": "unsupervised", "classes": 4, "iterations": 30}, "oracle": {"runs": 1}},
    "samplers": {"arms": [{"name": "jest", "sampler": JEST}, {"name": "gstds", "sampler": GSTDS},
                          {"name": "es", "sampler": {"name": "es", "anneal": 0.25}},
                          {"name": "weighted", "sampler": WEIGHTED, "score": "aum"}],
                 "training": {"sampler": {"name": "eswp", "r": 0.3}}},
}  # fmt: skip


def variant(**changes):
    merged = {
        key: {**BASE.get(key, {}), **value} if key in ("training", "seed_training") else value
        for key, value in changes.items()
    }
    return parse_config({**BASE, **merged})


def compare(config, out):
    """The plan and the ledger of the run: the same stages, and the same number of samples in each."""
    found = plan(config)
    run(config, out)
    spent: dict[str, tuple[int, int]] = {}
    for entry, cost in json.loads((out / "ledger.json").read_text()).items():
        trained, forward = spent.get(folded(entry), (0, 0))
        spent[folded(entry)] = trained + cost["trained_samples"], forward + cost["forward_samples"]
    planned = {stage.name: (stage.trained_samples, stage.forward_samples) for stage in found.stages}
    assert planned.pop("other") == (0, 0)
    assert planned == spent
    return found


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("graphprune.jobs.plan.calibrate._TARGET_SECONDS", 0.01)


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", VARIANTS)
def test_a_plan_holds_the_stages_of_the_run_and_counts_its_samples(name, tmp_path):
    config = variant(**VARIANTS[name])
    found = compare(config, tmp_path / "run")
    assert {note.partition("'")[2].partition("'")[0] for note in found.notes} <= {"es", "eswp"}


@pytest.mark.usefixtures("quick")
def test_windows_are_planned_like_their_run(tmp_path):
    traffic = Path(__file__).parents[2] / "configs/traffic.yaml"
    small = ["data.limit=300", "training.random_states=[0]", "extrapolators=[knn, ridge]", "oracle.runs=1",
             "arms=[{name: top, score: st_complexity, rule: top, keep: 0.3}]", "seed_training.epochs=3",
             "training.epochs=2", "scores=[st_complexity]", "embedding.source=statistics"]  # fmt: skip
    assert compare(load_config(traffic, small), tmp_path / "run").notes == ()


@pytest.mark.usefixtures("quick")
def test_what_windows_tell_a_sampler_is_planned(tmp_path):
    traffic = Path(__file__).parents[2] / "configs/traffic.yaml"
    small = ["data.limit=300", "training.random_states=[0]", "extrapolators=[knn]", "oracle=null", "arms=[]",
             "seed_training.epochs=2", "training.epochs=2", "scores=[st_complexity]", "short_run=null",
             "controls=false", "training.sampler={name: st_prune, r: 0}"]  # fmt: skip
    found = compare(load_config(traffic, small), tmp_path / "run")
    assert any(stage.name == "windows" for stage in found.stages)


@pytest.mark.usefixtures("quick")
def test_a_sampler_that_goes_by_losses_is_told_some(tmp_path):
    config = variant(arms=[], training={"sampler": {"name": "infobatch", "r": 0.5}, "epochs": 8})
    found = plan(config)
    (name, *_), n = [note.partition("'")[2].partition("'")[0] for note in found.notes], 120
    planned = next(stage.trained_samples for stage in found.stages if stage.name == "train/infobatch")
    assert name == "infobatch"
    # The first epoch and those after 7/8 of the epochs are complete; others may leave out up to half.
    assert (2 + 6 / 2) * n < planned < 8 * n


@pytest.mark.usefixtures("quick")
def test_memory_and_disk_are_planned_and_nothing_stays(tmp_path, monkeypatch):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    config = load_config(TINY, SMALLER)
    found = plan(config)
    assert not list(scratch.glob("graphprune*"))
    metrics = run(config, tmp_path / "run")
    assert set(metrics["training"]) == {s.name[6:] for s in found.stages if s.name.startswith("train/")}
    assert found.total.seconds > 0
    assert found.total.peak_mib > 100
    size = sum(path.stat().st_size for path in (tmp_path / "run").rglob("*") if path.is_file()) / 2**20
    assert size / 1.5 < found.total.disk_mib < 1.5 * size


def test_a_score_that_the_audit_cannot_record_is_refused_before_any_work(tmp_path):
    config = variant(
        scores=[{"name": "tdds", "T": 4, "window": 3}], arms=[], audit={}, training={"epochs": 3}
    )
    for refuse in (plan, partial(run, out=tmp_path / "run")):
        with pytest.raises(InputError, match="3 epochs"):
            refuse(config)
    assert [path.name for path in (tmp_path / "run").iterdir()] == [".lock"]


@pytest.mark.parametrize(("length", "epochs"), [(7, 1), (7, 2.5), (100, 0.003), (5, 3.0001), (9, 0.5)])
def test_visits_are_counted_as_the_training_loop_counts_them(length, epochs):
    counted, epoch = 0, 0
    while epoch < epochs:
        share = min(1.0, epochs - epoch)
        counted += len(range(length)[: max(1, round(share * length))])
        epoch += 1
    assert visits(length, epochs) == counted


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
