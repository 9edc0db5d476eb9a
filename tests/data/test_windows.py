"""Windows against slow loops; parts of time against each other."""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphprune.data.formats.common import clock
from graphprune.data.scaling import calendar, fit_scaler
from graphprune.data.sensors import SensorSeries
from graphprune.data.timesplit import clear_of, draw_time_blocks, heldout_blocks, split_windows
from graphprune.data.windows import WindowSamples, load_sensors, window_data
from graphprune.errors import InputError

CPU = torch.device("cpu")
SHARED = Path(__file__).parents[2].parent / "shared" / "data"


def series(steps=240, sensors=3, channels=2, *, steps_per_day=24, missing=None, gaps=True):
    rng = np.random.default_rng(1)
    values = rng.normal(5, 2, size=(steps, sensors, channels)).astype(np.float32)
    if gaps:
        values[rng.random(values.shape) < 0.1] = np.nan if missing is None else missing
    names = tuple("abcdefgh"[:sensors])
    return SensorSeries("toy", values, clock(steps, steps_per_day), names, ("u", "v")[:channels], missing)


def collect(samples, rows):
    batches = list(samples.batches(torch.as_tensor(rows).split(7), device=CPU))
    return torch.cat([b.x for b in batches]).numpy(), torch.cat([b.y for b in batches]).numpy()


@pytest.mark.parametrize("granularity", ["network", "sensor"])
@pytest.mark.parametrize("missing", [None, -9.0])
def test_windows_equal_slow_loops(granularity, missing):
    data_series = series(missing=missing)
    data = window_data(
        data_series, window=5, horizon=3, delay=2, stride=4, target="v", granularity=granularity
    )
    raw = data_series.values.astype(np.float64)
    raw[raw == -9] = np.nan
    last_train = data.train.starts[-1] + 5 + 2 + 3
    mean = np.array([np.nanmean(raw[:last_train, :, c]) for c in range(2)])
    std = np.array([np.nanstd(raw[:last_train, :, c]) for c in range(2)])
    assert data.info.target_std == pytest.approx(std[1], rel=1e-6)
    assert data.info.channels[:3] == ("u", "v", "observed")
    for samples in (data.train, data.test):
        rows = np.random.default_rng(2).permutation(len(samples))[:40]
        x, y = collect(samples, rows)
        assert x.shape[1:] == data.info.input_shape
        for i, row in enumerate(rows):
            identity = int(samples.ids[row])
            start, sensors = identity, range(3)
            if granularity == "sensor":
                start, sensors = identity // 3, [identity % 3]
            for node, sensor in enumerate(sensors):
                for step in range(5):
                    now = raw[start + step, sensor]
                    expected = [
                        0.0 if np.isnan(v) else (v - m) / s for v, m, s in zip(now, mean, std, strict=True)
                    ]
                    expected.append(float(not np.isnan(now[1])))
                    expected.append((start + step) % 24 / 24)
                    expected.append((start + step) // 24 % 7 / 7)
                    if granularity == "sensor":
                        expected.append(sensor)
                    np.testing.assert_allclose(x[i, step, node], expected, rtol=1e-4, atol=1e-5)
                for step in range(3):
                    value = (raw[start + 5 + 2 + step, sensor, 1] - mean[1]) / std[1]
                    np.testing.assert_allclose(y[i, step, node], value, rtol=1e-4, atol=1e-5)
        past = samples.readings(torch.as_tensor(rows), past=True).numpy()
        np.testing.assert_array_equal(np.isnan(past), x[..., 2] == 0)
        np.testing.assert_array_equal(np.nan_to_num(past), x[..., 1])
        np.testing.assert_array_equal(samples.readings(torch.as_tensor(rows), past=False).numpy(), y)


def test_windows_are_views_of_one_array():
    base = series(steps=4000, sensors=8, channels=1, gaps=False)
    data = window_data(base, window=12, horizon=12)
    values, _ = data.train._on(CPU)
    assert values.data_ptr() == base.values.ctypes.data
    assert data.test._on(CPU)[0].data_ptr() == base.values.ctypes.data
    assert data.train.ids.nbytes < base.values.nbytes


def test_order_of_batches_and_workers_do_not_matter():
    samples = window_data(series()).train
    x, _ = collect(samples, [5, 2, 9])
    again = next(samples.batches([torch.tensor([9, 5])], device=CPU, workers=2))
    np.testing.assert_array_equal(again.x.numpy(), x[[2, 0]])
    assert again.rows.tolist() == [9, 5]


def test_scaler_ignores_the_test_part_and_survives_constant_channels():
    base = series(gaps=False)
    base.values[:, :, 1] = 7
    before, _ = fit_scaler(base, 150)
    base.values[150:] += 100
    after, gaps = fit_scaler(base, 150)
    assert torch.equal(before.mean, after.mean)
    assert before.std[1] == 1
    assert not gaps


def test_calendar_features_need_training_coverage():
    week = window_data(series(steps=7 * 24, gaps=False), window=3, horizon=3)
    assert week.info.channels == ("u", "v", "time_of_day")
    month = window_data(series(steps=21 * 24, gaps=False), window=3, horizon=3)
    assert month.info.channels == ("u", "v", "time_of_day", "day_of_week")
    day = window_data(series(steps=24, gaps=False), window=3, horizon=2)
    assert day.info.channels == ("u", "v", "day_of_week")
    # 2001-01-01 was a Monday.
    np.testing.assert_allclose(calendar(clock(48, 24))[25], [1 / 24, 1 / 7], rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 40, "horizon": 40}, "too short: window 40"),
        ({"window": 0}, "window is 0"),
        ({"stride": 0}, "stride is 0"),
        ({"target": "w"}, "unknown channel of toy 'w'"),
        ({"target": 2}, "channel 2 does not exist"),
        ({"test_fraction": 1.0}, "test_fraction is 1"),
    ],
)
def test_bad_options_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        window_data(series(), **options)


def test_nothing_to_forecast_is_refused():
    base = series()
    base.values[190:, :, 0] = np.nan
    with pytest.raises(InputError, match="'u' has no reading in the test part"):
        window_data(base)
    base.values[:, :, 0] = np.nan
    with pytest.raises(InputError, match="'u' has no reading in the training part"):
        window_data(base)


@pytest.mark.parametrize("step", [100, 191, 239])  # in the training part, between the parts, in the test part
@pytest.mark.parametrize(
    ("value", "shown"), [(np.inf, "inf"), (-np.inf, "-inf"), (1e300, "1e\\+300"), (1e20, "1e\\+20")]
)
@pytest.mark.filterwarnings("error")
def test_infinite_readings_are_refused_with_their_place(step, value, shown):
    base = series(gaps=False)
    values = base.values.astype(np.float64)
    values[step, 2, 1] = value
    time = str(base.timestamps[step])
    message = rf"toy: sensor 'c' \(channel 'v'\) has the reading {shown} at {time} \(step {step}\); repair it"
    with pytest.raises(InputError, match=message):
        window_data(replace(base, values=values), window=12, horizon=12, stride=7)
    # Fill values of other formats are gaps once they are named.
    if value != 1e300:
        data = window_data(replace(base, values=values, missing=value), window=12, horizon=12, stride=7)
        assert data.info.target_std == pytest.approx(
            window_data(base, window=12, horizon=12, stride=7).info.target_std
        )


def test_a_sentinel_beyond_float32_is_refused():
    with pytest.raises(InputError, match="missing is 1e\\+39; .* \\(at most 3.40282e\\+38\\)"):
        series(missing=1e39, gaps=False)


def test_fingerprint_follows_content_and_settings():
    one, two = window_data(series()), window_data(series())
    assert one.fingerprint == two.fingerprint
    changed = series()
    changed.values[100, 0, 0] += 1
    assert window_data(changed).fingerprint != one.fingerprint
    assert window_data(series(), delay=1).fingerprint != one.fingerprint
    later = replace(series(), timestamps=series().timestamps + np.timedelta64(1, "D"))
    assert window_data(later).fingerprint != one.fingerprint
    for names in ({"sensor_ids": ("a", "b", "z")}, {"channels": ("u", "z")}):
        assert window_data(replace(series(), **names)).fingerprint != one.fingerprint
    # The same bytes as other sensors and channels.
    flat = series(sensors=4, channels=1, gaps=False)
    folded = replace(flat, values=flat.values.reshape(240, 2, 2), sensor_ids=("a", "b"), channels=("u", "v"))
    assert window_data(folded).train.digest() != window_data(flat).train.digest()
    linked = replace(series(), adjacency=1 - np.eye(3, dtype=np.float32))
    assert window_data(linked).fingerprint != one.fingerprint


def test_load_sensors_by_name_and_by_path(tmp_path):
    data = load_sensors(name="traffic_counts", limit=1000)
    assert data.name == "traffic_counts"
    assert data.info.input_shape == (12, 22, len(data.info.channels))
    assert int(data.test.starts[-1]) == 1000 - 24
    np.savez(tmp_path / "own.npz", values=np.ones((50, 2)) * np.arange(50)[:, None])
    own = load_sensors(tmp_path / "own.npz", window=2, horizon=2, steps_per_day=24, missing=49)
    assert own.info.channels[0] == "channel_0"
    assert int(own.test.readings(torch.arange(len(own.test)), past=False).isnan().sum()) == 2
    with pytest.raises(InputError, match="exactly one"):
        load_sensors(name="traffic_counts", path=tmp_path / "own.npz")


@pytest.mark.skipif(not SHARED.is_dir(), reason="../shared/data is not there")
def test_sentinel_zeros_of_taxi_speeds():
    data = load_sensors(SHARED / "sz_taxi.npz", missing=0, limit=1000)
    past = data.train.readings(torch.arange(50), past=True)
    raw = np.load(SHARED / "sz_taxi.npz")["values"][:12, :, 0]
    np.testing.assert_array_equal(past[0].isnan().numpy(), raw == 0)


spans = {"window": st.integers(1, 9), "horizon": st.integers(1, 9), "delay": st.integers(0, 3)}


def steps_touched(starts, span):
    return set((np.unique(starts)[:, None] + np.arange(span)).reshape(-1).tolist())


@given(steps=st.integers(40, 400), stride=st.integers(1, 5), fraction=st.floats(0.15, 0.6), **spans)
@settings(deadline=None, max_examples=60)
def test_training_and_test_windows_never_overlap(steps, stride, fraction, window, horizon, delay):
    span = window + horizon + delay
    try:
        train, test = split_windows(
            steps, window=window, horizon=horizon, delay=delay, stride=stride, test_fraction=fraction
        )
    except InputError:
        assert min(round(fraction * steps), steps - round(fraction * steps)) < span
        return
    assert not steps_touched(train, span) & steps_touched(test, span)
    assert test[-1] + span <= steps
    assert test[0] == steps - round(fraction * steps)
    assert (np.diff(train) == stride).all()


@given(
    count=st.integers(30, 400),
    stride=st.integers(1, 4),
    fraction=st.floats(0.05, 0.9),
    n_blocks=st.integers(1, 10),
    sensors=st.integers(1, 3),
    seed=st.integers(0, 99),
    **spans,
)
@settings(deadline=None, max_examples=100)
def test_seed_blocks_and_heldout_seeds_never_overlap(
    count, stride, fraction, n_blocks, sensors, seed, window, horizon, delay
):
    span = window + horizon + delay
    starts = np.repeat(np.arange(count) * stride, sensors)
    sizes = {"window": window, "horizon": horizon, "delay": delay}

    def draws():
        return torch.Generator().manual_seed(seed)

    rows = draw_time_blocks(starts, fraction, **sizes, n_blocks=n_blocks, generator=draws())
    np.testing.assert_array_equal(
        rows, draw_time_blocks(starts, fraction, **sizes, n_blocks=n_blocks, generator=draws())
    )
    drawn = np.unique(starts[rows])
    assert len(drawn) == round(fraction * count)
    assert len(rows) == len(drawn) * sensors
    runs = np.split(drawn, np.flatnonzero(np.diff(drawn) > stride) + 1)
    assert len(runs) <= n_blocks
    for one, two in itertools.pairwise(runs):
        assert one[-1] + span <= two[0]
    try:
        fit, heldout = heldout_blocks(starts[rows], 0.25, **sizes, generator=draws())
    except InputError:
        # Cutting a quarter off costs at most one more gap.
        assert len(drawn) * 0.75 < span / stride + 1
        return
    assert not set(fit) & set(heldout)
    assert not steps_touched(starts[rows][fit], span) & steps_touched(starts[rows][heldout], span)
    assert len(np.unique(starts[rows][heldout])) == max(1, round(0.25 * len(drawn)))
    assert len(heldout) % sensors == 0


@given(
    count=st.integers(2, 120),
    stride=st.integers(1, 4),
    span=st.integers(1, 20),
    seed=st.integers(0, 99),
)
@settings(deadline=None, max_examples=60)
def test_windows_clear_of_seeds_share_no_step_with_them(count, stride, span, seed):
    starts = np.repeat(np.arange(count) * stride, 2)
    chosen = np.random.default_rng(seed).random(count) < 0.2
    chosen[seed % count] = True
    seeds = np.arange(count)[chosen] * stride
    touched = steps_touched(seeds, span)
    expected = [not touched & set(range(start, start + span)) for start in starts.tolist()]
    assert clear_of(starts, seeds, span).tolist() == expected


def test_seeds_are_spread_over_the_whole_time():
    starts = np.arange(2000)
    rows = draw_time_blocks(
        starts, 0.2, window=12, horizon=12, n_blocks=8, generator=torch.Generator().manual_seed(3)
    )
    assert np.bincount(rows // 250, minlength=8).tolist() == [50] * 8


def test_a_fraction_that_leaves_nothing_is_refused():
    with pytest.raises(InputError, match="no seeds or no others"):
        draw_time_blocks(np.arange(10), 0.01, window=2, horizon=2, generator=torch.Generator())
    with pytest.raises(InputError, match="too few to hold out"):
        heldout_blocks(np.arange(10), 0.5, window=12, horizon=12, generator=torch.Generator())


def test_windows_beyond_the_series_are_refused():
    base = series(steps=30)
    scaler, _ = fit_scaler(base, 30)
    with pytest.raises(InputError, match="exceeds the series of 30 steps"):
        WindowSamples(base, np.array([0, 10]), window=12, horizon=12, scaler=scaler)
