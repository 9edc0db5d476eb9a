"""Torchvision's data sets and models through the same doors as anybody's (`make test-vision`)."""

import pytest
import torch

from graphprune.config.base import Method
from graphprune.config.load import parse_config
from graphprune.data.base import TaskInfo
from graphprune.data.map_style import data_from_datasets
from graphprune.jobs.pipeline import run
from graphprune.models.build import build_model

pytestmark = pytest.mark.vision


def test_a_torchvision_dataset_and_model_go_the_whole_way(tmp_path):
    torchvision = pytest.importorskip("torchvision", reason="torchvision is not in this environment")
    image = torchvision.transforms.ToTensor()
    parts = [
        torchvision.datasets.FakeData(size, (3, 32, 32), num_classes=3, transform=image) for size in (60, 30)
    ]
    config = parse_config(
        {
            "name": "fake",
            "data": {"kind": "object"},
            "seeds": {"fraction": 0.5},
            "seed_training": {"epochs": 2, "batch_size": 16, "lr": 0.01},
            "scores": ["loss"],
            "graph": {"k": 5},
            "extrapolators": [{"name": "knn", "k": 5}],
            "arms": [{"name": "half", "score": "loss"}],
            "training": {"random_states": [0]},
        }
    )
    metrics = run(
        config,
        tmp_path / "run",
        data=data_from_datasets("fake", *parts),
        model=lambda: torchvision.models.resnet18(num_classes=3),
    )
    assert metrics["training"]["half"]["backward_samples"] == 2 * 30


@pytest.mark.parametrize("name", ["timm:resnet18", "torchvision:resnet18"])
def test_a_named_model_gives_one_logit_per_class(name):
    pytest.importorskip(name.partition(":")[0], reason="the library is not in this environment")
    model = build_model(Method(name=name), TaskInfo("classification", (3, 64, 64), num_classes=7)).eval()
    with torch.no_grad():
        assert model(torch.zeros(2, 3, 64, 64)).shape == (2, 7)
