"""The same code on an accelerator (`make test-gpu`)."""

import numpy as np
import pytest
import torch

from graphprune.config import OptimisationConfig
from graphprune.data.base import TensorSamples
from graphprune.data.images import load_sklearn
from graphprune.graph.knn import KNNGraph
from graphprune.registry import create, get
from graphprune.rng import isolated_rng
from graphprune.scores.recorder import Recorder
from graphprune.train.loop import evaluate_model, train_model
from graphprune.train.paradigms.supervised import Supervised

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine"),
]
CUDA = torch.device("cuda")


@pytest.mark.parametrize("sampler", ["random", "infobatch", "es"])
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_digits_are_learned_and_scored(sampler, precision):
    data = load_sklearn("digits")
    assert isinstance(data.train, TensorSamples)
    with isolated_rng(0, "model"):
        model = get("model", "small_cnn").for_task(data.info, width=8, stages=2)
    settings = OptimisationConfig(epochs=12, lr=0.1, precision=precision)
    scores = {"tdds": create("score", "tdds", T=12, window=5), "loss": create("score", "loss")}
    recorder = Recorder(scores, torch.from_numpy(data.train.ids), epochs=12, num_classes=10, device=CUDA)
    steps = create("sampler", sampler, n=len(data.train), epochs=12)
    train_model(model, data.train, Supervised(), steps, settings, seed=0, device=CUDA, recorder=recorder)
    assert evaluate_model(model, data.test, Supervised(), device=CUDA) > 0.9
    assert all(bool(values.isfinite().all()) for values in recorder.values().values())


def test_the_graph_equals_that_of_the_cpu():
    points = np.random.default_rng(0).normal(size=(3000, 24)).astype(np.float32)
    here, there = KNNGraph.build(points, k=10), KNNGraph.build(points, k=10, device=CUDA)
    same = (here.indices.cpu() == there.indices.cpu()).double().mean()
    assert float(same) > 0.9999
    torch.testing.assert_close(here.distances.cpu(), there.distances.cpu(), atol=1e-4, rtol=1e-4)
