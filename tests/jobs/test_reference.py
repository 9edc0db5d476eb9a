"""Reference models for JEST and GSTDS, from a file or the seed run: their values and their cost."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from graphprune.config.load import parse_config
from graphprune.data.images import classification_data, load_sklearn
from graphprune.errors import InputError
from graphprune.jobs.checks import check_names
from graphprune.jobs.pipeline import run
from graphprune.registry import get
from graphprune.runtime.rng import isolated_rng
from graphprune.train.checkpoint import load_weights, save_weights

N, SEEDS = 120, 48


def config(weights, **changes):
    reference = {"weights": str(weights), "model": {"name": "mlp", "width": 24, "depth": 1}}
    return parse_config(
        {
            "name": "reference",
            "data": {"kind": "sklearn", "name": "digits", "limit": 150},
            "model": {"name": "mlp", "width": 16, "depth": 1},
            "seeds": {"fraction": 0.4},
            "seed_training": {"epochs": 1, "batch_size": 32, "lr": 0.05},
            "scores": ["loss"],
            "graph": {"k": 5, "metric": "euclidean"},
            "extrapolators": [{"name": "knn", "k": 5}],
            "controls": False,
            "short_run": None,
            "arms": [
                {"name": "jest", "sampler": {"name": "jest", "keep": 0.5, "reference_losses": reference}},
                {"name": "of_run", "sampler": {"name": "jest", "keep": 0.5, "reference_losses": "run"}},
                {"name": "gstds", "sampler": {"name": "gstds", "embeddings": reference}},
            ],
            "training": {"epochs": 1, "random_states": [0], "batch_size": 30},
            **changes,
        }
    )


def test_reference_losses_and_features_are_the_models_and_are_paid_for(tmp_path):
    data = load_sklearn("digits", limit=150)
    with isolated_rng(5, "reference"):
        model = get("model", "mlp").for_task(data.info, width=24, depth=1)
    weights = tmp_path / "reference.safetensors"
    save_weights(model, weights)
    metrics = run(config(weights), tmp_path / "run")
    model.eval()
    batch = next(data.train.batches([torch.arange(N)], device=torch.device("cpu")))
    with torch.no_grad():
        losses = cross_entropy(model(batch.x), batch.y, reduction="none").numpy()
        features = model.body(batch.x.flatten(1)).numpy()
    found = {p.parent.name: p.parent for p in (tmp_path / "run/reference").glob("*/losses.npy")}
    assert len(found) == 2, "one pass for the file, though two arms use it, and one for the seed run's model"
    assert any(np.allclose(np.load(folder / "losses.npy"), losses, atol=1e-5) for folder in found.values())
    assert any(
        np.load(folder / "features.npy").shape == features.shape
        and np.allclose(np.load(folder / "features.npy"), features, atol=1e-5)
        for folder in found.values()
    )
    arms = metrics["training"]
    full = 3 * N
    # Half of each candidate batch is trained on; jest scores all of it first, the reference model all samples.
    assert arms["jest"]["cost_passes"] == pytest.approx((N + N + 3 * N / 2) / full)
    assert arms["gstds"]["cost_passes"] == pytest.approx((N + 3 * N / 2) / full)
    assert arms["of_run"]["cost_passes"] == pytest.approx((3 * SEEDS + N + N + 3 * N / 2) / full)


def test_missing_weights_are_refused_before_any_work(tmp_path):
    with pytest.raises(InputError, match="nowhere.safetensors"):
        check_names(config(tmp_path / "nowhere.safetensors"))


def test_the_public_resnet20_gives_low_losses_on_cifar10(shared_data):
    import io

    import pyarrow.parquet as pq
    from PIL import Image

    table = pq.read_table(shared_data / "cifar10_test.parquet").slice(0, 64)
    column = next(name for name in ("img", "image") if name in table.column_names)
    images = [Image.open(io.BytesIO(c["bytes"])).convert("RGB") for c in table[column].to_pylist()]
    x = np.stack([np.asarray(image).transpose(2, 0, 1) for image in images])
    data = classification_data("cifar10", x, table["label"].to_numpy(), test=(x, table["label"].to_numpy()))
    model = get("model", "resnet20")(in_channels=3, num_classes=10)
    load_weights(model, shared_data / "resnet20_cifar10_akamaster.npz")
    model.eval()
    batch = next(data.train.batches([torch.arange(64)], device=torch.device("cpu")))
    with torch.no_grad():
        right = (model(batch.x).argmax(dim=1) == batch.y).float().mean()
    assert float(right) > 0.75
