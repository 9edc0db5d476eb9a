"""The configs for the papers' sets, each loaded from a tiny local set with the columns and splits of the hub's."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from graphprune.config.load import load_config
from graphprune.data import hub as hub_reader
from graphprune.data.load import load_data
from graphprune.models.build import build_model

CONFIGS = Path(__file__).parents[2] / "configs"
# Splits, further columns, and the sizes of images: one size where the real set has one.
SETS = {
    "dynunc2023_cifar10": (("train", "test"), (), [(32, 32)]),
    "dynunc2023_cifar100": (("train", "test"), ("coarse_label",), [(32, 32)]),
    "extrapolation2025_places365": (("train",), (), [(256, 256)]),
    "dynunc2023_imagenet": (("train", "validation", "test"), (), [(60, 40), (33, 90)]),
    "gstds2025_pets": (("train", "test"), ("image_id", "label_cat_dog"), [(50, 70), (64, 40)]),
    "gstds2025_flowers102": (("train", "test"), (), [(80, 70), (64, 64)]),
}
CLASSES, PER_CLASS = 4, 6


def encoded(size, level) -> dict:
    buffer = io.BytesIO()
    Image.new("RGB", size, (level, 255 - level, 128)).save(buffer, format="JPEG", quality=95)
    return {"bytes": buffer.getvalue(), "path": None}


def hub(config, folder, name):
    """A stand-in for ``load_dataset`` that knows one name, whose splits are local Parquet files."""
    datasets = pytest.importorskip("datasets", reason="Hugging Face datasets is absent (extra: hf)")
    splits, more, sizes = SETS[name]
    names = [f"class {label}" for label in range(CLASSES)]
    features = {config.image: datasets.Image(), config.label: datasets.ClassLabel(names=names)}
    features |= {column: datasets.Value("int64") for column in more}
    for split in splits:
        labels = np.tile(np.arange(CLASSES), PER_CLASS).tolist()
        rows = {
            config.image: [encoded(sizes[i % len(sizes)], 60 * y) for i, y in enumerate(labels)],
            config.label: labels,
            **{column: list(range(len(labels))) for column in more},
        }
        part = datasets.Dataset.from_dict(rows, features=datasets.Features(features))
        part.to_parquet(str(folder / f"{split}.parquet"))

    def load(asked, subset, split):
        assert (asked, subset) == (config.name, None)
        path = str(folder / f"{split}.parquet")
        return datasets.Dataset.from_parquet(path, cache_dir=str(folder / "cache"))

    return load


@pytest.mark.parametrize("name", SETS)
def test_the_config_loads_its_set_and_makes_its_model(monkeypatch, tmp_path, name):
    config = load_config(CONFIGS / f"{name}.yaml")
    load = hub(config.data, tmp_path, name)
    monkeypatch.setattr(hub_reader, "_loader", lambda: load)
    data = load_data(config.data)
    side = config.data.image_size or SETS[name][2][0][0]
    assert data.info.input_shape == (3, side, side)
    assert data.info.num_classes == CLASSES
    assert data.info.class_names[2] == "class 2"
    held_out = config.data.test_split is None
    assert len(data.train) + (len(data.test) if held_out else 0) == CLASSES * PER_CLASS
    batch = next(data.train.batches([torch.arange(len(data.train))], device=torch.device("cpu")))
    # The red channel rises with the class, so pixels and labels still belong together.
    red = [float(batch.x[batch.y == label, 0].mean()) for label in range(CLASSES)]
    assert red == sorted(red)
    assert red[0] < red[-1] - 0.5
    if ":" not in config.model.name:
        model = build_model(config.model, data.info).eval()
        with torch.no_grad():
            assert model(batch.x[:2]).shape == (2, CLASSES)
