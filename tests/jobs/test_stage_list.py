"""A new stage is one file and one line in the list; everything else follows from its fields."""

from dataclasses import replace
from pathlib import Path

import pytest

from graphprune.config.load import parse_config
from graphprune.files import read_json, write_text
from graphprune.jobs import stage_list
from graphprune.jobs.pipeline import run
from graphprune.jobs.plan.predict import plan
from graphprune.jobs.stage import Estimate, Product, Products, Stage
from graphprune.jobs.stages import select
from graphprune.runtime.cost import Cost

SECONDS = 1000.0
CONFIG = {
    "name": "tiny",
    "data": {"kind": "sklearn", "name": "digits", "limit": 150},
    "seeds": {"fraction": 0.4},
    "model": {"name": "mlp", "width": 16, "depth": 1},
    "seed_training": {"epochs": 4, "batch_size": 32, "lr": 0.05},
    "scores": ["aum"],
    "graph": {"k": 5},
    "extrapolators": [{"name": "knn", "k": 5}],
    "controls": False,
    "short_run": None,
    "arms": [{"name": "pruned", "score": "aum", "keep": 0.4}],
    "training": {"random_states": [0]},
}


def toy_stages(job):
    path = job.run / "toy.txt"

    def work(attempt):
        attempt.costs["toy"] = Cost(seconds=SECONDS, forward_samples=1)
        write_text(path, f"{len(job.data.train)} samples")
        return [path]

    estimate = Estimate({"toy": Cost(seconds=SECONDS, forward_samples=1)}, disk_bytes=2**20)
    yield Stage("toy", work, lambda _: estimate, makes=(Product("toy", ("toy.txt",)),), needs=("graph",))


def selection_that_needs_it(job):
    for stage in select.stages(job):
        yield replace(stage, needs=(*stage.needs, "toy"))


@pytest.fixture
def with_toy(monkeypatch):
    listed = [selection_that_needs_it if make is select.stages else make for make in stage_list.STAGES]
    listed.insert(listed.index(selection_that_needs_it), toy_stages)
    monkeypatch.setattr(stage_list, "STAGES", listed)
    monkeypatch.setattr("graphprune.jobs.plan.calibrate._TARGET_SECONDS", 0.01)


@pytest.mark.usefixtures("with_toy")
def test_a_new_stage_is_in_the_pipeline_the_plan_the_ledger_and_the_cost_of_an_arm(tmp_path: Path):
    config, out = parse_config(CONFIG), tmp_path / "run"
    metrics = run(config, out)
    assert (out / "toy.txt").read_text() == "120 samples"
    assert read_json(out / "ledger.json")["toy"]["seconds"] == SECONDS
    assert metrics["cost"]["toy"]["seconds"] == SECONDS
    assert metrics["training"]["pruned"]["total_seconds"] > SECONDS
    assert metrics["training"]["random"]["total_seconds"] < SECONDS
    planned = {stage.name: stage for stage in plan(config).stages}
    assert (planned["toy"].seconds, planned["toy"].disk_mib) == (SECONDS, 1.0)


@pytest.mark.usefixtures("with_toy")
def test_what_depends_on_a_changed_stage_is_redone_and_nothing_else(tmp_path: Path):
    config, out, seen = parse_config(CONFIG), tmp_path / "run", {}
    run(config, out)

    class Reporter:
        def event(self, event, stage, seconds):
            seen.setdefault(event, []).append(stage)

        def progress(self, fraction, note=""): ...

    (out / "toy.txt").write_text("tampered with")
    run(config, out, reporter=Reporter())
    assert seen["started"] == ["toy"]
    assert "select/pruned" in seen["kept"]


def make(name, needs=(), makes=()):
    return Stage(name, lambda _: [], lambda _: Estimate({}), makes=makes, needs=needs)


def test_ancestors_are_charged_once_and_only_for_what_is_needed():
    known = Products()
    known.add(make("run", makes=(Product("model", ("m",)), Product("looks", ("l",), ("model", "passes")))))
    known.add(make("embed", ("model",)))
    known.add(
        make("fit", ("embed", "model"), (Product("prediction", ("p",), ("fit",)), Product("held", ("h",))))
    )
    assert known.entries(["prediction", "embed"]) == {"embed": "embed", "fit": "fit", "model": "run"}
    assert known.entries(["looks"]) == {"model": "run", "passes": "run"}


def test_a_need_that_no_earlier_stage_makes_is_an_error_of_the_list():
    with pytest.raises(KeyError, match="no earlier stage makes 'nothing'"):
        Products().add(make("late", ("nothing",)))
