"""STID: shapes, the untrained model, its equations, and learning."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from graphprune.data.base import TaskInfo
from graphprune.data.formats.common import clock
from graphprune.data.sensors import SensorSeries
from graphprune.data.windows import window_data
from graphprune.embed.module import FeatureTap
from graphprune.errors import InputError
from graphprune.models.stid import STID
from graphprune.runtime.rng import isolated_rng
from graphprune.train.naive import last_value, naive_errors
from graphprune.train.paradigms.forecasting import Forecasting

CPU = torch.device("cpu")


def daily_series(days=21, *, gaps=0.0):
    rng = np.random.default_rng(0)
    hours = np.arange(days * 24)
    phase, level = np.array([0.0, 1.5, 3.0, 4.5]), np.array([0.0, 2.0, 4.0, 6.0])
    values = level + 3 * np.sin(2 * np.pi * hours[:, None] / 24 + phase) + rng.normal(0, 0.3, (len(hours), 4))
    values = values.astype(np.float32)[:, :, None]
    values[rng.random(values.shape) < gaps] = np.nan
    return SensorSeries("daily", values, clock(len(hours), 24), tuple("abcd"), ("v",))


def mae_on_test(model, data):
    paradigm = Forecasting(info=data.info)
    model.eval()
    total = torch.zeros(2, dtype=torch.float64)
    with torch.no_grad():
        for batch in data.test.batches(torch.arange(len(data.test)).split(64), device=CPU):
            total += paradigm.tally(model(batch.x), batch.y)
    return float(total[0] / total[1])


def naive_mae(data):
    return naive_errors(data.test, last_value(data.test), data.info)["all"]["mae"]


@pytest.mark.parametrize("granularity", ["network", "sensor"])
@pytest.mark.parametrize("gaps", [0.0, 0.2])
def test_untrained_model_is_the_last_observed_value(granularity, gaps):
    data = window_data(daily_series(gaps=gaps), window=6, horizon=4, granularity=granularity)
    model = STID.for_task(data.info)
    batch = next(data.train.batches([torch.arange(10)], device=CPU))
    forecast = model(batch.x)
    assert forecast.shape == batch.y.shape == (10, 4, 4 if granularity == "network" else 1)
    past = data.train.readings(torch.arange(10), past=True)
    for i in range(10):
        for node in range(past.shape[2]):
            seen = [v for v in past[i, :, node].tolist() if not np.isnan(v)]
            expected = seen[-1] if seen else 0.0
            assert forecast[i, :, node].tolist() == pytest.approx([expected] * 4)
    assert mae_on_test(model, data) == pytest.approx(naive_mae(data), rel=1e-5)


def test_embedding_is_one_row_per_window():
    data = window_data(daily_series(), window=6, horizon=4)
    model = STID.for_task(data.info, width=8, embedding=4)
    tap = FeatureTap(model)
    model(next(data.train.batches([torch.arange(5)], device=CPU)).x)
    assert tap.features.shape == (5, 8 + 3 * 4)


@pytest.mark.parametrize("granularity", ["network", "sensor"])
def test_it_learns_most_of_the_signal(granularity):
    data = window_data(daily_series(), window=6, horizon=4, granularity=granularity)
    paradigm = Forecasting(info=data.info)
    with isolated_rng(0, "model"):
        model = STID.for_task(data.info, dropout=0.0)
        optimizer = torch.optim.AdamW(model.parameters(), 1e-2)
        rows = torch.arange(len(data.train))
        for _ in range(6 if granularity == "sensor" else 15):
            for batch in data.train.batches(rows[torch.randperm(len(rows))].split(64), device=CPU):
                loss = paradigm.losses(model(batch.x), batch.y).mean()
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    assert naive_mae(data) > 1.2
    # The noise itself has a mean absolute value of 0.24.
    assert 0.22 < mae_on_test(model, data) < 0.42


def test_sensors_and_hours_change_the_forecast():
    data = window_data(daily_series(), window=6, horizon=4, granularity="sensor")
    model = STID.for_task(data.info)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(generator=torch.Generator().manual_seed(1))
    x = next(data.train.batches([torch.tensor([0])], device=CPU)).x.repeat(4, 1, 1, 1)
    x[1, :, :, model.places["sensor"]] = 2
    x[2, :, :, model.places["time_of_day"]] = 0.5
    x[3, :, :, model.places["day_of_week"]] = 6 / 7
    forecasts = model.eval()(x)
    for i in range(1, 4):
        assert not torch.allclose(forecasts[0], forecasts[i])


@pytest.mark.parametrize("watched", [False, True])
@pytest.mark.parametrize(("blocks", "width"), [(1, 8), (2, 16), (3, 8), (5, 8)])
@pytest.mark.parametrize("granularity", ["network", "sensor"])
def test_it_equals_its_equations(granularity, blocks, width, watched):
    """The docstring's formula as einsums over ``[batch, feature, node]``, every identity looked up per node."""
    data = window_data(daily_series(gaps=0.2), window=6, horizon=4, granularity=granularity)
    model = STID.for_task(data.info, width=width, embedding=4, blocks=blocks, dropout=0.0)
    # The equations hold with and without hooks, and for more or fewer readings than width (12 and 8).
    tap = FeatureTap(model) if watched else None
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3, generator=torch.Generator().manual_seed(1))
    x = next(data.train.batches([torch.arange(5, 200, 7)], device=CPU)).x
    batch, _, nodes, _ = x.shape
    place, day, week = (model.places.get(name) for name in ("sensor", "time_of_day", "day_of_week"))
    where = torch.arange(nodes).expand(batch, nodes) if place is None else x[:, -1, :, place].long()
    lookups = [
        (model.node, where),
        (model.clock["time_of_day"], (x[:, -1, :, day] * 24).round().long() % 24),
        (model.clock["day_of_week"], (x[:, -1, :, week] * 7).round().long() % 7),
    ]
    flat = x[..., :2].permute(0, 1, 3, 2).reshape(batch, -1, nodes)

    def layer(linear, h):
        return torch.einsum("oh,bhn->bon", linear.weight, h) + linear.bias[:, None]

    hidden = torch.cat([layer(model.window, flat)] + [e(at).transpose(1, 2) for e, at in lookups], dim=1)
    for first, _, _, second in model.blocks:
        hidden = hidden + layer(second, torch.relu(layer(first, hidden)))
    expected = layer(model.head, hidden) + model.last_observed(x)
    forecast = model(x)
    torch.testing.assert_close(forecast, expected, rtol=1e-4, atol=1e-5)
    if tap is not None:
        torch.testing.assert_close(tap.features, hidden.mean(dim=2), rtol=1e-4, atol=1e-5)
    weights = torch.randn(forecast.shape, generator=torch.Generator().manual_seed(2))
    gradients, slow = (
        torch.autograd.grad((y * weights).sum(), list(model.parameters())) for y in (forecast, expected)
    )
    for gradient, same in zip(gradients, slow, strict=True):
        torch.testing.assert_close(gradient, same, rtol=1e-3, atol=1e-3)


def test_dropout_masks_do_not_depend_on_hooks():
    data = window_data(daily_series(), window=6, horizon=4)
    with isolated_rng(0, "model"):
        model = STID.for_task(data.info, dropout=0.5)
        torch.nn.init.normal_(model.head.weight)
    x = next(data.train.batches([torch.arange(20)], device=CPU)).x
    forecasts = []
    for hooked in (False, True):
        if hooked:
            FeatureTap(model)
        with isolated_rng(1, "dropout"):
            forecasts.append(model.train()(x))
    torch.testing.assert_close(*forecasts, rtol=1e-4, atol=1e-5)


def test_images_are_rejected():
    with pytest.raises(InputError, match="forecasts windows"):
        STID.for_task(TaskInfo("classification", (1, 8, 8), num_classes=10))


def test_data_without_a_calendar():
    info = window_data(daily_series(), window=6, horizon=4).info
    info = replace(info, channels=("v",), input_shape=(6, 4, 1))
    assert STID.for_task(info)(torch.randn(3, 6, 4, 1)).shape == (3, 4, 4)
