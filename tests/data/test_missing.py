"""A gap is a gap: NaN, a sentinel and a mask lead to the same windows, losses, gradients and scores."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from graphprune.data.sensors import read_sensors
from graphprune.data.windows import window_data
from graphprune.embed.windows import window_statistics
from graphprune.models.stid import STID
from graphprune.registry import create
from graphprune.samplers.stationarity import roughness
from graphprune.scores.input_complexity import input_complexity
from graphprune.scores.recorder import Recorder
from graphprune.train.naive import historical_average, last_value, naive_errors
from graphprune.train.paradigms.forecasting import Forecasting

SENTINEL = -1.0


def everything(path, missing, granularity):
    """All that windows lead to, by name."""
    series = read_sensors(path, missing=missing, steps_per_day=24)
    data = window_data(series, window=6, horizon=3, granularity=granularity)
    train = data.train
    torch.manual_seed(0)
    model, paradigm = STID.for_task(data.info, dropout=0.0), Forecasting(info=data.info)
    torch.nn.init.normal_(model.head.weight)
    batch = next(train.batches([torch.arange(len(train))], device=torch.device("cpu")))
    losses = paradigm.losses(model(batch.x), batch.y)
    losses.mean().backward()
    signals = paradigm.signals(model(batch.x), batch.y, losses)
    recorder = Recorder({"s": create("score", "st_complexity")}, torch.from_numpy(train.ids), epochs=1)
    recorder.observe("eval", torch.from_numpy(train.ids), 0, **signals)
    found = {
        "mean": train.scaler.mean,
        "x": batch.x,
        "y": batch.y,
        "losses": losses.detach(),
        "gradient": torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None]),
        "complexity": recorder.values()["s"],
        "input": torch.from_numpy(input_complexity(train)),
        "statistics": torch.from_numpy(window_statistics(train)),
        "roughness": roughness(train.readings(torch.arange(len(train)), past=True)),
    }
    for name, forecast in (
        ("last", last_value(data.test)),
        ("average", historical_average(train, data.test)),
    ):
        found[name] = torch.tensor(list(naive_errors(data.test, forecast, data.info)["all"].values()))
    return found, data.fingerprint


@pytest.mark.parametrize("granularity", ["network", "sensor"])
def test_nan_sentinel_and_mask_are_one(tmp_path, granularity):
    rng = np.random.default_rng(0)
    values = rng.gamma(2, 10, size=(300, 3)).astype(np.float32)
    gone = rng.random(values.shape) < 0.25
    gone[40:60] = True
    gone[:, 2][100:180] = True
    np.savez(tmp_path / "nan.npz", values=np.where(gone, np.nan, values))
    np.savez(tmp_path / "sentinel.npz", values=np.where(gone, np.float32(SENTINEL), values))
    np.savez(tmp_path / "mask.npz", values=np.where(gone, 1e9, values).astype(np.float32), mask=~gone)
    expected, fingerprint = everything(tmp_path / "nan.npz", None, granularity)
    for name, missing in (("sentinel", SENTINEL), ("mask", None)):
        found, other = everything(tmp_path / f"{name}.npz", missing, granularity)
        for what, value in expected.items():
            torch.testing.assert_close(
                found[what], value, rtol=0, atol=0, equal_nan=True, msg=f"{name}: {what}"
            )
        assert other == fingerprint
    for what, value in expected.items():
        assert what == "y" or value.isfinite().all(), what
    assert expected["y"].isnan().any()
    assert expected["gradient"].abs().sum() > 0
