"""The same code on an accelerator (`make test-gpu`)."""

import subprocess
import sys
from contextlib import suppress

import numpy as np
import pytest
import torch

from graphprune.config.training import OptimizationConfig
from graphprune.data.base import TensorSamples
from graphprune.data.images import load_sklearn
from graphprune.errors import InputError
from graphprune.extrapolate.base import Inputs
from graphprune.graph.knn import KNNGraph
from graphprune.registry import create, get
from graphprune.runtime.rng import isolated_rng
from graphprune.scores.recorder import Recorder
from graphprune.table import ScoreTable
from graphprune.train.checkpoint import Checkpoint
from graphprune.train.loop import evaluate_model, train_model
from graphprune.train.paradigms.supervised import Supervised

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]
CUDA = torch.device("cuda")


@pytest.mark.parametrize("sampler", ["random", "infobatch", "es"])
@pytest.mark.parametrize("precision", ["float32", "bf16", "fp16"])
def test_digits_are_learned_and_scored(sampler, precision):
    data = load_sklearn("digits")
    assert isinstance(data.train, TensorSamples)
    with isolated_rng(0, "model"):
        model = get("model", "small_cnn").for_task(data.info, width=8, stages=2)
    settings = OptimizationConfig(epochs=12, lr=0.1, precision=precision)
    scores = {"tdds": create("score", "tdds", T=12, window=5), "loss": create("score", "loss")}
    recorder = Recorder(scores, torch.from_numpy(data.train.ids), epochs=12, num_classes=10, device=CUDA)
    steps = create("sampler", sampler, n=len(data.train), epochs=12)
    train_model(model, data.train, Supervised(), steps, settings, seed=0, device=CUDA, recorder=recorder)
    assert evaluate_model(model, data.test, Supervised(), device=CUDA) > 0.9
    assert all(bool(values.isfinite().all()) for values in recorder.values().values())


class Killed(Exception):
    pass


@pytest.mark.parametrize(
    "changes",
    [
        {"precision": "fp16", "clip_norm": 1.0},
        {"accumulate": 2, "ema": 0.9},
        {"compile": True},
        {"augment": ("crop", "flip", "cutout")},
    ],
)
def test_a_killed_run_goes_on_with_the_state_that_was_on_the_device(tmp_path, changes):
    data = load_sklearn("digits")
    settings = OptimizationConfig(epochs=2, batch_size=128, lr=0.05, **changes)
    weights = []
    for kill_at in (None, 5):
        checkpoint = Checkpoint(tmp_path / f"{kill_at}.pt", every_seconds=0)
        for stop in (kill_at, None) if kill_at else (None,):
            calls = 0

            def progress(_fraction: float, _note: str, stop: int | None = stop) -> None:
                nonlocal calls
                calls += 1
                if calls == stop:
                    raise Killed

            with isolated_rng(0, "model"):
                model = get("model", "mlp").for_task(data.info, width=32)
            sampler = create("sampler", "infobatch", n=len(data.train), epochs=2)
            with suppress(Killed):
                train_model(
                    model, data.train, Supervised(), sampler, settings, seed=0, device=CUDA,
                    checkpoint=checkpoint, progress=progress,
                )  # fmt: skip
        weights.append(torch.cat([p.detach().flatten().cpu() for p in model.parameters()]))
    # Some of CUDA's sums have no fixed order, so equal here means to rounding.
    torch.testing.assert_close(weights[1], weights[0], atol=1e-3, rtol=1e-3)


def test_adversarial_training_runs_on_the_device():
    data = load_sklearn("digits")
    paradigm = create("paradigm", "adversarial", method="trades", epsilon=0.5, step=0.2, steps=2)
    with isolated_rng(0, "model"):
        model = get("model", "small_cnn").for_task(data.info, width=8, stages=2)
    sampler = create("sampler", "random", n=len(data.train), epochs=3)
    settings = OptimizationConfig(epochs=3, lr=0.1, precision="bf16")
    result = train_model(model, data.train, paradigm, sampler, settings, seed=0, device=CUDA)
    assert result.losses[-1] < result.losses[0]


def test_the_graph_equals_that_of_the_cpu():
    points = np.random.default_rng(0).normal(size=(3000, 24)).astype(np.float32)
    here, there = KNNGraph.build(points, k=10), KNNGraph.build(points, k=10, device=CUDA)
    same = (here.indices.cpu() == there.indices.cpu()).double().mean()
    assert float(same) > 0.9999
    torch.testing.assert_close(here.distances.cpu(), there.distances.cpu(), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_from_pinned_host_memory_are_those_that_lie_on_the_device(workers):
    draws = np.random.default_rng(0)
    x = torch.from_numpy(draws.integers(0, 256, (500, 3, 16, 16), dtype=np.uint8))
    found = {}
    for placement in ("host", "device"):
        samples = TensorSamples(x, np.arange(500) % 3, mean=(0.5,) * 3, std=(0.2,) * 3, placement=placement)
        order = torch.split(torch.arange(500).flip(0), 64)
        found[placement] = list(samples.batches(order, device=CUDA, workers=workers))
    for ours, theirs in zip(found["host"], found["device"], strict=True):
        assert all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


def test_a_recorder_on_the_cpu_hears_a_training_on_the_device():
    """Copies that nobody waits for are not read before they have arrived."""
    draws = torch.Generator().manual_seed(0)
    logits, targets = torch.randn(40, 64, 10, generator=draws), torch.arange(64) % 10
    values = []
    for device in ("cpu", CUDA):
        recorder = Recorder({"aum": create("score", "aum")}, torch.arange(64), epochs=40, num_classes=10)
        for epoch, shown in enumerate(logits):
            recorder.observe(
                recorder.phases[0],
                torch.arange(64).to(device),
                epoch,
                logits=shown.to(device),
                targets=targets.to(device),
            )
        values.append(recorder.values()["aum"])
    torch.testing.assert_close(values[1], values[0])


def test_samples_are_uploaded_once(monkeypatch):
    """``cuda`` and ``cuda:0`` are one device, whoever asks."""
    samples = TensorSamples(torch.zeros(100, 3), np.zeros(100, dtype=np.int64), placement="device")
    order = [torch.arange(10)]
    next(samples.batches(order, device=CUDA))
    resident = samples._resident
    next(samples.batches(order, device=torch.device("cuda", torch.cuda.current_device())))
    assert samples._resident is resident


def test_targets_that_are_no_classes_are_told_and_do_not_end_the_process():
    recorder = Recorder(
        {"aum": create("score", "aum")}, torch.arange(8), epochs=2, num_classes=3, device=CUDA
    )
    targets = torch.tensor([0, 1, 2, 0, 1, 2, -100, 7], device=CUDA)
    recorder.observe(
        recorder.phases[0], torch.arange(8), 0, logits=torch.zeros(8, 3, device=CUDA), targets=targets
    )
    with pytest.raises(InputError, match="2 observed targets lie outside"):
        recorder.values()


def test_library_functions_take_tensors_that_lie_on_the_device():
    draws = np.random.default_rng(0)
    points = torch.from_numpy(draws.normal(size=(400, 8)).astype(np.float32)).to(CUDA)
    graph, labels = KNNGraph.build(points, k=10), torch.arange(400) % 4
    inputs = Inputs(graph, points, labels=labels.to(CUDA))
    seeds = np.arange(0, 400, 4)
    for name in ("knn", "gcn", "class_mean"):
        options = {"steps": 5} if name == "gcn" else {}
        fitted = create("extrapolator", name, **options).fit(inputs, seeds, points[seeds, 0].cpu().numpy())
        assert np.isfinite(fitted.predict()).all()
    table = ScoreTable(np.arange(400), draws.normal(size=400), True)
    for rule in ("moderate", "semdedup", "d2"):
        kept = create("selection", rule).select(table, 0.25, labels=labels.numpy(), graph=graph)
        assert len(kept) == 100


def test_trainings_on_the_device_repeat_themselves():
    data = load_sklearn("digits")
    weights = []
    for _ in range(2):
        with isolated_rng(0, "model"):
            model = get("model", "small_cnn").for_task(data.info, width=8, stages=2)
        sampler = create("sampler", "random", n=len(data.train), epochs=2)
        train_model(
            model, data.train, Supervised(), sampler, OptimizationConfig(epochs=2), seed=0, device=CUDA
        )
        weights.append(torch.cat([p.detach().flatten().cpu() for p in model.parameters()]))
    assert torch.equal(*weights)


def test_a_run_on_the_cpu_does_not_wake_the_device():
    code = (
        "import torch\nfrom graphprune.runtime.cost import Cost, measure\n"
        "with measure(Cost()):\n    torch.ones(3).sum()\nassert not torch.cuda.is_initialized()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
