"""Sensor series: readers, masks and refusals."""

from __future__ import annotations

import numpy as np
import pytest

from graphprune.data.formats.common import clock
from graphprune.data.sensors import SensorSeries, embedded, read_sensors
from graphprune.errors import InputError


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    return {
        "values": rng.normal(size=(40, 3, 2)).astype(np.float32),
        "timestamps": np.datetime64("2024-01-01T00:00:00") + np.arange(40) * np.timedelta64(3600, "s"),
        "sensor_ids": np.array(["a", "b", "c"]),
        "channels": np.array(["flow", "speed"]),
        "adjacency": np.eye(3, dtype=np.float32),
    }


def save(tmp_path, arrays):
    path = tmp_path / "series.npz"
    np.savez(path, **arrays)
    return path


def test_npz_keeps_values_names_and_clock(tmp_path, arrays):
    arrays["values"][3, 1, 0] = np.nan
    series = read_sensors(save(tmp_path, arrays))
    np.testing.assert_array_equal(series.values, arrays["values"])
    assert series.sensor_ids == ("a", "b", "c")
    assert series.channels == ("flow", "speed")
    assert series.steps_per_day == 24
    assert series.distance_km is None
    assert np.argwhere(~series.mask).tolist() == [[3, 1, 0]]


def test_positions_come_with_the_file(tmp_path, arrays):
    places = {"lat": np.array([60.0, 61.0, 62.0]), "lon": np.array([10.0, 11.0, 12.0])}
    found = read_sensors(save(tmp_path, arrays | places))
    assert found.positions.tolist() == [[60, 10], [61, 11], [62, 12]]
    assert found.head(5).positions is found.positions
    with pytest.raises(InputError, match="2 lat for 3 lon"):
        read_sensors(save(tmp_path, arrays | places | {"lat": np.zeros(2)}))
    with pytest.raises(InputError, match="positions are"):
        read_sensors(save(tmp_path, arrays | {"lat": np.zeros(2), "lon": np.zeros(2)}))


def test_sentinel_and_mask_both_mean_missing(tmp_path, arrays):
    arrays["values"][5, 0, 1] = -1
    arrays["mask"] = np.ones((40, 3), dtype=bool)
    arrays["mask"][7, 2] = False
    series = read_sensors(save(tmp_path, arrays), missing=-1)
    assert np.argwhere(~series.mask).tolist() == [[5, 0, 1], [7, 2, 0], [7, 2, 1]]


def test_plain_table_needs_a_clock_and_gets_names(tmp_path):
    path = save(tmp_path, {"values": np.ones((10, 2), dtype=np.int64)})
    with pytest.raises(InputError, match="steps_per_day"):
        read_sensors(path)
    series = read_sensors(path, steps_per_day=96)
    assert series.values.shape == (10, 2, 1)
    assert series.steps_per_day == 96
    assert series.sensor_ids == ("sensor_0", "sensor_1")
    assert series.channels == ("channel_0",)


def test_embedded_traffic_counts():
    series = embedded("traffic_counts")
    assert series.values.shape == (2496, 22, 1)
    assert series.steps_per_day == 96
    assert int((~series.mask).any(axis=(1, 2)).sum()) == 4
    assert len(series.faults) == 2
    with pytest.raises(InputError, match="did you mean 'traffic_counts'"):
        embedded("traffic_count")


def drop(key):
    return lambda arrays: arrays.pop(key)


def put(key, value):
    return lambda arrays: arrays.update({key: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (drop("values"), "no array 'values'"),
        (put("values", np.full((40, 3, 2), "x")), "instead of numbers"),
        (put("values", np.zeros((0, 3, 2))), "empty"),
        (put("adjacency", np.eye(4)), r"adjacency is \[4, 4\]; give \[3, 3\]"),
        (put("timestamps", clock(39, 24)), "39 timestamps for 40"),
        (put("timestamps", clock(40, 24) + (np.arange(40) == 6)), "the clock jumps at 2001-01-01T06"),
        (put("timestamps", clock(40, 24)[::-1]), "do not ascend"),
        (put("mask", np.ones((40, 2))), r"mask has shape \[40, 2\]"),
        (put("sensor_ids", np.array(["a"])), "1 sensor_ids for 3"),
    ],
)
def test_faulty_files_are_refused_in_one_sentence(tmp_path, arrays, change, message):
    change(arrays)
    with pytest.raises(InputError, match=message):
        read_sensors(save(tmp_path, arrays))


def test_silent_sensors_are_counted_and_named(tmp_path, arrays):
    arrays["values"][:, 1:] = 0
    with pytest.raises(InputError, match="2 of 3 sensors have no reading, the first is 'b'"):
        read_sensors(save(tmp_path, arrays), missing=0)
    arrays["values"][39, 1:] = 1
    assert read_sensors(save(tmp_path, arrays), missing=0).n_sensors == 3


def test_truncated_and_unknown_files(tmp_path, arrays):
    path = save(tmp_path, arrays)
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="not a readable"):
        read_sensors(path)
    other = tmp_path / "series.txt"
    other.write_text("1 2 3")
    with pytest.raises(InputError, match=r"sensor files end in"):
        read_sensors(other)
    with pytest.raises(InputError, match="does not exist"):
        read_sensors(tmp_path / "none.npz")


def test_memory_map_is_read_in_blocks(tmp_path):
    values = np.arange(24, dtype=np.float64).reshape(12, 2, 1)
    np.save(tmp_path / "v.npy", values)
    mapped = np.load(tmp_path / "v.npy", mmap_mode="c")
    series = SensorSeries("m", mapped, clock(12, 24), ("a", "b"), ("x",), missing=3.0)
    assert isinstance(series.values, np.memmap)
    block = series.block(1, 3)
    assert block.dtype == np.float32
    assert np.isnan(block[0, 1, 0])
    assert block[1, 0, 0] == 4
    assert mapped[1, 1, 0] == 3
