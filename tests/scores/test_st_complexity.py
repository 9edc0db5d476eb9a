"""ST-complexity against a loop over windows, steps and sensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from graphprune.registry import create
from graphprune.scores.recorder import Recorder


def slow_parts(errors):
    """Level, spatial and temporal heterogeneity of one window ``[T, S]``; None without errors."""

    def mean(values):
        values = [v for v in values if not np.isnan(v)]
        return sum(values) / len(values) if values else float("nan")

    def std(values):
        values = [v for v in values if not np.isnan(v)]
        center = sum(values) / len(values)
        return (sum((v - center) ** 2 for v in values) / len(values)) ** 0.5

    if np.isnan(errors).all():
        return None
    steps, sensors = errors.shape
    return (
        mean(errors.reshape(-1)),
        std([mean(errors[:, s]) for s in range(sensors)]),
        std([mean(errors[t]) for t in range(steps)]),
    )


def slow_score(windows, a=1.0, b=1.0, level=1.0):
    parts = [slow_parts(w) for w in windows]
    known = np.array([p for p in parts if p is not None])
    total = np.zeros(len(windows))
    for column, weight in enumerate((level, a, b)):
        values = np.array([0.0 if p is None else p[column] for p in parts])
        spread = known[:, column].std()
        if spread > 1e-9:
            total += weight * (values - known[:, column].mean()) / spread
    return total


@pytest.fixture
def windows():
    rng = np.random.default_rng(0)
    errors = rng.gamma(2, 1, size=(30, 4, 5)).astype(np.float32)
    errors[rng.random(errors.shape) < 0.2] = np.nan
    errors[3, :, 2] = np.nan
    errors[4] = np.nan
    return errors


def record(windows, *, name="st_complexity", epochs=1, ids=None, **options):
    ids = torch.arange(len(windows)) if ids is None else ids
    recorder = Recorder({"s": create("score", name, **options)}, ids, epochs=epochs)
    order = torch.randperm(len(ids), generator=torch.Generator().manual_seed(0))
    for epoch in range(epochs):
        for rows in order.split(7):
            errors = torch.from_numpy(windows[rows] * (epoch + 1 == epochs) + (epoch + 1 < epochs))
            recorder.observe("eval", ids[rows], epoch, errors=errors)
    return recorder.values()["s"].numpy()


@pytest.mark.parametrize("options", [{}, {"a": 0.0, "b": 0.0}, {"a": 2.0, "b": 0.5, "level": 0.0}])
def test_it_equals_the_loop(windows, options):
    np.testing.assert_allclose(record(windows, **options), slow_score(windows, **options), atol=1e-4)


@pytest.mark.parametrize(
    ("name", "weights"),
    [("st_level", (0, 0, 1)), ("st_spatial", (1, 0, 0)), ("st_temporal", (0, 1, 0))],
)
def test_each_part_alone(windows, name, weights):
    np.testing.assert_allclose(record(windows, name=name), slow_score(windows, *weights), atol=1e-4)
    whole = sum(record(windows, name=part) for part in ("st_level", "st_spatial", "st_temporal"))
    np.testing.assert_allclose(whole, record(windows), atol=1e-4)


def test_the_last_epoch_wins(windows):
    np.testing.assert_allclose(record(windows, epochs=3), slow_score(windows), atol=1e-4)


def test_a_window_without_targets_counts_as_no_error(windows):
    values = record(windows)
    assert values.argmin() == 4
    rest = np.delete(windows, 4, axis=0)
    np.testing.assert_allclose(np.delete(values, 4), slow_score(rest), atol=1e-4)


def test_constant_parts_are_zero():
    # All windows have equal errors, so their scores are equal.
    assert record(np.full((6, 3, 2), 0.3, dtype=np.float32)).tolist() == [0.0] * 6
    # With one sensor and one step, only the level varies.
    errors = np.arange(5, dtype=np.float32).reshape(5, 1, 1)
    np.testing.assert_allclose(record(errors), (np.arange(5) - 2) / np.sqrt(2), atol=1e-5)


def test_windows_never_seen_are_the_last_to_keep(windows):
    recorder = Recorder({"s": create("score", "st_complexity")}, torch.arange(30), epochs=1)
    recorder.observe("eval", torch.arange(3), 0, errors=torch.from_numpy(windows[:3]))
    values = recorder.values()["s"].numpy()
    np.testing.assert_allclose(values[:3], slow_score(windows[:3]), atol=1e-4)
    assert (values[3:] < values[:3].min()).all()
    nothing = Recorder({"s": create("score", "st_complexity")}, torch.arange(4), epochs=1)
    assert nothing.values()["s"].tolist() == [0.0] * 4


def test_sensor_time_windows_spread_over_linked_sensors():
    rng = np.random.default_rng(1)
    errors = rng.gamma(2, 1, size=(6, 4, 1)).astype(np.float32)
    links = [[1, -1], [0, 2], [1, -1], [4, 5], [3, -1], [3, -1]]
    levels = errors.mean(axis=(1, 2))
    spatial = np.array(
        [np.std([levels[i], *(levels[j] for j in row if j >= 0)]) for i, row in enumerate(links)]
    )
    temporal = errors[:, :, 0].std(axis=1)
    expected = sum((part - part.mean()) / part.std() for part in (levels, spatial, temporal))
    np.testing.assert_allclose(record(errors, links=torch.tensor(links)), expected, atol=1e-4)
