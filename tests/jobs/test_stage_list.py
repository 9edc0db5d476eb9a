"""A new stage is one file and one line in the list; everything else follows from its fields."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from graphprune.config.load import parse_config
from graphprune.data.load import load_data
from graphprune.files import read_json, write_text
from graphprune.jobs import stage_list
from graphprune.jobs.job import Job
from graphprune.jobs.pipeline import run
from graphprune.jobs.plan.measured import Measured
from graphprune.jobs.plan.predict import plan
from graphprune.jobs.run_folder import RunFolder
from graphprune.jobs.stage import Estimate, Product, Products, Stage
from graphprune.jobs.stages import graph, select
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


class Affine(torch.nn.Linear):
    """A linear layer whose ``repr`` does not show its offset."""

    def __init__(self, offset: float) -> None:
        super().__init__(64, 10)
        with torch.no_grad():
            self.bias += offset


def test_models_that_print_alike_do_not_share_artifacts(tmp_path: Path):
    """Models of a factory are identified by their weights, because a ``repr`` shows neither values nor code."""
    config = parse_config({**CONFIG, "data": {"kind": "object"}, "arms": []})
    data = load_data(parse_config(CONFIG).data)

    def settings(offset):
        flat = lambda: torch.nn.Sequential(torch.nn.Flatten(), Affine(offset))  # noqa: E731
        return Job(config, data, RunFolder(tmp_path), torch.device("cpu"), flat).model_settings

    assert repr(Affine(0.0)) == repr(Affine(1.0))
    assert settings(0.0) == settings(0.0) != settings(1.0)


@pytest.mark.parametrize(("backend", "faiss", "power"), [("auto", False, 2.0), ("auto", True, 1.5), ("ivf", True, 1.5),
                                                         ("exact", True, 2.0)])  # fmt: skip
def test_the_estimate_of_the_graph_goes_by_the_search_that_would_run(monkeypatch, backend, faiss, power):
    """A million samples without FAISS are searched exactly, in time that grows with the square of their number."""
    monkeypatch.setattr("graphprune.graph.ivf.available", lambda: faiss)
    n = 1_000_000
    config = parse_config({**CONFIG, "graph": {"k": 5, "backend": backend}})
    train = type("Many", (), {"__len__": lambda self: n})()
    job = SimpleNamespace(config=config, data=SimpleNamespace(train=train, fingerprint="x"), run=Path("run"),
                          device=torch.device("cpu"))  # fmt: skip
    job.scored = job
    (stage,) = graph.stages(job)
    measured = SimpleNamespace(
        methods=SimpleNamespace(graph=Measured(n=1000, seconds=0.01, base_mib=0, peak_mib=0))
    )
    assert stage.estimate(measured).costs["graph"].seconds == pytest.approx(0.01 * 1000**power)
