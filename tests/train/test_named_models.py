"""Models by name: graphprune's own, and those of timm and torchvision without importing either."""

import sys
import types

import pytest
import torch
from torch import nn

from graphprune.config.base import Method
from graphprune.data.base import TaskInfo
from graphprune.errors import InputError
from graphprune.models.build import build_model, check_model

IMAGES = TaskInfo("classification", (3, 8, 8), num_classes=7)


@pytest.mark.parametrize(("name", "extra"), [("timm:resnet18", "timm"), ("torchvision:resnet18", "vision")])
def test_a_missing_library_is_named_with_its_extra(monkeypatch, name, extra):
    monkeypatch.setitem(sys.modules, name.partition(":")[0], None)
    with pytest.raises(InputError, match=rf"model '{name}' needs .*graphprune\[{extra}\]"):
        check_model(Method(name=name))


@pytest.mark.parametrize(
    ("method", "message"),
    [
        ({"name": "keras:x"}, "unknown library 'keras'; expected timm:NAME"),
        ({"name": "resnet21"}, "did you mean 'resnet20'"),
        ({"name": "resnet20", "widht": 3}, "option of model 'resnet20'.*width"),
    ],
)
def test_unknown_names_and_options_are_rejected(method, message):
    with pytest.raises(InputError, match=message):
        check_model(Method(**method))


def fake(monkeypatch, name, **attributes):
    module = types.ModuleType(name)
    for key, value in attributes.items():
        setattr(module, key, value)
    monkeypatch.setitem(sys.modules, name, module)


def test_timm_receives_classes_and_channels(monkeypatch):
    requested = {}

    def create_model(name, **options):
        requested.update(name=name, **options)
        return nn.Linear(1, 1)

    fake(monkeypatch, "timm", create_model=create_model)
    gray = TaskInfo("classification", (1, 8, 8), num_classes=7)
    build_model(Method(name="timm:resnet18", pretrained=True, drop_rate=0.1), gray)
    assert requested == {
        "name": "resnet18",
        "pretrained": True,
        "num_classes": 7,
        "in_chans": 1,
        "drop_rate": 0.1,
    }


def test_torchvisions_pretrained_head_is_replaced(monkeypatch):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.Flatten(), nn.Linear(192, 5), nn.ReLU())
            self.classifier = nn.Sequential(nn.Dropout(0.1), nn.Linear(5, 1000))

        def forward(self, x):
            return self.classifier(self.body(x))

    def get_model(name, weights, num_classes=None):
        if name != "net":
            raise ValueError("Unknown model")
        assert (weights == "DEFAULT") == (num_classes is None)
        return Net()

    fake(monkeypatch, "torchvision", models=types.SimpleNamespace(get_model=get_model))
    model = build_model(Method(name="torchvision:net", pretrained=True), IMAGES)
    assert model(torch.zeros(2, 3, 8, 8)).shape == (2, 7)
    assert model.body[1].out_features == 5
    with pytest.raises(InputError, match="'torchvision:nett' could not be created: Unknown model"):
        build_model(Method(name="torchvision:nett"), IMAGES)
    with pytest.raises(InputError, match="takes 3 channels, but the data has 1"):
        build_model(Method(name="torchvision:net"), TaskInfo("classification", (1, 8, 8), num_classes=7))
    with pytest.raises(InputError, match="takes images"):
        build_model(Method(name="torchvision:net"), TaskInfo("classification", (9,), num_classes=7))
