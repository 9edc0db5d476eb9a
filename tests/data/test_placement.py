"""Samples on the device or on the host: the same batches, and the documented rule between them."""

from collections.abc import Iterable

import numpy as np
import pytest
import torch
from torch import nn

from graphprune.config.load import parse_config
from graphprune.config.training import OptimizationConfig
from graphprune.data import base
from graphprune.data.base import TensorSamples
from graphprune.data.load import load_data
from graphprune.data.relabelled import Relabelled
from graphprune.runtime.rng import isolated_rng
from graphprune.samplers.random import Random
from graphprune.train.loop import train_model
from graphprune.train.paradigms.supervised import Supervised

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
N = 50


def samples(placement: str) -> TensorSamples:
    draws = np.random.default_rng(0)
    x = torch.from_numpy(draws.integers(0, 256, (N, 3, 6, 6), dtype=np.uint8))
    labels = draws.integers(0, 3, N)
    return TensorSamples(x, labels, mean=(0.4, 0.5, 0.6), std=(0.2, 0.3, 0.4), placement=placement)


def orders() -> Iterable[torch.Tensor]:
    yield from torch.split(torch.randperm(N, generator=torch.Generator().manual_seed(1)), 16)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_from_the_host_are_those_from_the_device(workers):
    before = torch.get_rng_state()
    ours = list(samples("host").batches(orders(), device=CPU, workers=workers))
    theirs = list(samples("device").batches(orders(), device=CPU))
    for a, b in zip(ours, theirs, strict=True):
        assert all(torch.equal(part, other) for part, other in zip(a, b, strict=True))
    assert torch.equal(torch.get_rng_state(), before)


def test_trained_weights_do_not_depend_on_the_placement():
    weights = []
    for placement, workers in (("device", 0), ("host", 0), ("host", 1)):
        with isolated_rng(0, "model"):
            model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(64, 3))
        settings = OptimizationConfig(epochs=2, batch_size=16, lr=0.1, augment=("crop",), workers=workers)
        sampler = Random(N, epochs=2)
        train_model(model, samples(placement), Supervised(), sampler, settings, seed=0, device=CPU)
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    assert torch.equal(weights[0], weights[1])
    assert torch.equal(weights[0], weights[2])


def test_auto_takes_the_device_up_to_a_quarter_of_its_free_memory(monkeypatch):
    size = N * 3 * 6 * 6
    for free, fits in ((4 * size, True), (4 * size - 1, False)):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device, free=free: (free, 2**40))
        assert base.fits_on(CUDA, size) is fits
        assert samples("auto")._stays_on(CUDA) is fits
        assert samples("device")._stays_on(CUDA)
        assert not samples("host")._stays_on(CUDA)
    assert base.fits_on(CPU, 2**60)


def test_what_is_already_on_the_device_stays_there(monkeypatch):
    ours = samples("auto")
    next(iter(ours.batches(orders(), device=CPU)))
    monkeypatch.setattr(base, "fits_on", lambda device, size: False)
    assert ours._stays_on(CPU)
    assert not samples("auto")._stays_on(CPU)


def test_the_config_decides_and_other_labels_change_nothing():
    config = parse_config(
        {"name": "x", "data": {"kind": "sklearn", "name": "digits", "limit": 100, "placement": "host"}}
    )
    data = load_data(config.data)
    assert (data.train.placement, data.test.placement) == ("host", "host")
    other = Relabelled(data.train, data.train.labels + 1)
    rows = torch.arange(5)
    batch = next(iter(other.batches([rows], device=CPU)))
    assert batch.y.tolist() == (data.train.labels[:5] + 1).tolist()
    default = load_data(config.data.model_copy(update={"placement": "auto"}))
    assert torch.equal(next(iter(default.train.batches([rows], device=CPU))).x, batch.x)
    assert default.fingerprint == data.fingerprint
