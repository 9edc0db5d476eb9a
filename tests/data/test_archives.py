"""Sensor series in ``.npz``, ``.npy`` and ``.h5``: arrays of any shape and type are a series or one sentence."""

from __future__ import annotations

import os
import warnings

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphprune.data.sensors import read_sensors
from graphprune.data.windows import load_sensors
from graphprune.errors import InputError

# `make fuzz` asks for many more.
EXAMPLES = int(os.environ.get("GRAPHPRUNE_FUZZ", "100"))
STEPS = 200
STAMPS = np.datetime64("2024-03-04T00:00:00", "s") + np.arange(STEPS) * np.timedelta64(900, "s")
EPOCH = STAMPS.astype(np.int64)
VALUES = np.random.default_rng(0).normal(50, 5, (STEPS, 3))
OWN = {"values": VALUES, "timestamps": STAMPS}
OF_DAY = np.tile((np.arange(STEPS) % 96 / 96)[:, None], 3)
HIS = {"data": np.stack([VALUES, OF_DAY, np.zeros_like(VALUES)], axis=2), "mean": 1.0, "std": 2.0}

pytestmark = pytest.mark.filterwarnings("error")


def save(tmp_path, arrays, name="s.npz"):
    np.savez(tmp_path / name, **arrays)
    return tmp_path / name


def at(array, row, value):
    array = np.array(array)
    array[row] = value
    return array


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (OWN | {"values": np.float32(3)}, r"'values' has shape \[\]; give \[time, sensor\]"),
        (OWN | {"values": VALUES[:, 0]}, r"'values' has shape \[200\]"),
        (OWN | {"values": VALUES + 1j}, "'values' is complex128 instead of numbers"),
        (OWN | {"timestamps": np.int64(5)}, r"time stamps have shape \[\]; give one per time step"),
        (OWN | {"timestamps": STAMPS[:, None]}, r"time stamps have shape \[200, 1\]"),
        (OWN | {"timestamps": at(EPOCH.astype(float), 7, np.nan)}, "time stamps contain nan in row 7"),
        (OWN | {"timestamps": at(STAMPS, 7, np.datetime64("NaT"))}, "time stamps are missing in row 7"),
        (OWN | {"timestamps": EPOCH.astype(np.float32)}, "float32, too imprecise"),
        (OWN | {"timestamps": np.full(STEPS, "x")}, "contain 'x' in row 0, which is not an ISO date"),
        (OWN | {"timestamps": np.full(STEPS, True)}, "time stamps are bool"),
        (OWN | {"timestamps": np.arange(STEPS)}, "has no time stamps"),
        (
            OWN | {"timestamps": STAMPS[0] + np.arange(STEPS) * np.timedelta64(9, "ms")},
            "less than a second apart",
        ),
        (OWN | {"timestamps": at(STAMPS, 7, STAMPS[6])}, r"row 7 \(2024-03-04T01:30:00\) is a duplicate"),
        (OWN | {"timestamps": STAMPS[:9]}, "9 timestamps for 200 in values"),
        (OWN | {"sensor_ids": "abc"}, r"the sensor names are <U3 \[\]; give a list"),
        (OWN | {"sensor_ids": np.array([[1], [2], [3]])}, r"the sensor names are int64 \[3, 1\]"),
        (OWN | {"sensor_ids": np.array([b"a", b"\xff", b"c"])}, "the sensor names are not UTF-8"),
        (OWN | {"sensor_ids": ["a", "b", "a"]}, "duplicate entry 'a' in sensor_ids"),
        (OWN | {"channels": "x"}, r"the channel names are <U1 \[\]"),
        (OWN | {"mask": np.full((STEPS, 3), "y")}, "mask is <U1"),
        (OWN | {"mask": np.full((STEPS, 3), np.nan)}, "mask contains values other than 0 and 1"),
        (OWN | {"mask": True}, r"mask has shape \[\] but values"),
        (OWN | {"lat": [1, 2, np.inf], "lon": [1, 2, 3]}, "sensor 'sensor_2' has no finite position"),
        (OWN | {"lat": ["1", "2", "3"], "lon": [1, 2, 3]}, "'lat' is <U1 instead of numbers"),
        (OWN | {"adjacency": 1.0}, r"adjacency is \[\]; give \[3, 3\]"),
        (
            {"values": VALUES, "timestamp": STAMPS},
            r"no time stamps \(the array 'timestamp' was ignored; .*'timestamps'",
        ),
        (
            {"data": VALUES, "timestamps": STAMPS},
            "timestamps cannot be combined with 'data'; rename 'data' to 'values'",
        ),
        (HIS | {"data": HIS["data"] * [1, 0, 0]}, "channel 1 of 'data' must be the time of day"),
        (HIS | {"data": HIS["data"] * [1, np.nan, 0]}, "channel 1 of 'data' must be the time of day"),
        (HIS | {"data": np.delete(HIS["data"], 9, 0)}, "the time of day jumps in row 9"),
        (HIS | {"mean": "a"}, r"'mean' is <U1 \[\]; give one finite number"),
        (HIS | {"mean": np.ones(3)}, r"'mean' is float64 \[3\]"),
        (HIS | {"std": np.nan}, "'std' is float64"),
        (HIS | {"std": 0.0}, "'std' is 0; give a number above 0"),
    ],
)
def test_faulty_arrays_are_refused_in_one_sentence(tmp_path, arrays, message):
    with pytest.raises(InputError, match=message):
        read_sensors(save(tmp_path, arrays))


@pytest.mark.parametrize(
    "stamps",
    [
        EPOCH,
        EPOCH * 1000,
        EPOCH.astype(float),
        STAMPS.astype("datetime64[ns]"),
        np.array([str(s) for s in STAMPS]),
        np.array([str(s) for s in STAMPS], dtype="S"),
        np.array([f"{s}Z" for s in STAMPS]),
    ],
)
def test_clocks_of_every_type(tmp_path, stamps):
    np.testing.assert_array_equal(
        read_sensors(save(tmp_path, OWN | {"timestamps": stamps})).timestamps, STAMPS
    )


def test_a_running_index_is_no_clock(tmp_path):
    for stamps in (np.arange(STEPS), np.arange(1.0, STEPS + 1)):
        series = read_sensors(save(tmp_path, OWN | {"timestamps": stamps}), steps_per_day=96)
        assert series.steps_per_day == 96


def test_arrays_with_other_names_are_reported(tmp_path):
    others = {"Timestamps": STAMPS, "sensor_id": [1, 2, 3], "adj": np.eye(3), "lat": [1, 2, 3], "freq": 5}
    series = read_sensors(save(tmp_path, {"values": VALUES, **others}), steps_per_day=96)
    assert series.faults == (
        "the array 'Timestamps' was ignored; should it be called 'timestamps'?",
        "the array 'adj' was ignored; should it be called 'adjacency'?",
        "the array 'sensor_id' was ignored; should it be called 'sensor_ids'?",
        "the sensors have no positions; give both lat and lon",
    )
    assert read_sensors(save(tmp_path, OWN | {"freq": 5, "notes": "x"})).faults == ()
    series = read_sensors(save(tmp_path, {"data": VALUES, "sensors": [1, 2, 3]}))
    assert series.faults[1] == "the array 'sensors' was ignored; should it be called 'sensor_ids'?"


def test_steps_per_day_must_agree_with_the_clock(tmp_path):
    path = save(tmp_path, OWN)
    assert read_sensors(path, steps_per_day=96).steps_per_day == 96
    with pytest.raises(InputError, match="its clock has 96 steps per day but steps_per_day is 288"):
        read_sensors(path, steps_per_day=288)
    with pytest.raises(InputError, match="its clock has 96 steps per day but steps_per_day is 24"):
        read_sensors(save(tmp_path, HIS, "his.npz"), steps_per_day=24)
    with pytest.raises(InputError, match="its clock has 96 steps per day but steps_per_day is 24"):
        load_sensors(name="traffic_counts", steps_per_day=24)
    with pytest.raises(InputError, match=r"steps_per_day is 7; .* must divide 86,400"):
        read_sensors(save(tmp_path, {"values": VALUES}), steps_per_day=7)


def test_stations_that_do_not_fit_are_reported(tmp_path):
    (tmp_path / "s.txt").write_text("1 2\n")
    series = read_sensors(save(tmp_path, {"data": VALUES}))
    assert series.sensor_ids == ("0", "1", "2")
    assert series.faults[1] == "s.txt was ignored: it lists 2 stations for 3 sensors"
    (tmp_path / "s.txt").write_bytes(b"\xff\xfe1 2 3")
    with pytest.raises(InputError, match="not a list of stations"):
        read_sensors(tmp_path / "s.npz")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", [">f8", "<f4", "f2", "g", "i4", "?"])
def test_arrays_in_any_order_and_type(tmp_path, order, dtype):
    values = np.asarray(VALUES * 7 > 349 if dtype == "?" else VALUES, dtype=dtype, order=order)
    np.save(tmp_path / "v.npy", values)
    np.savez(tmp_path / "v.npz", values=values)
    for name in ("v.npy", "v.npz"):
        series = read_sensors(tmp_path / name, steps_per_day=96)
        np.testing.assert_array_equal(series.block(0, STEPS)[:, :, 0], values.astype(np.float32))


def test_missing_stamps_beside_npy_are_filled(tmp_path):
    keep = np.delete(np.arange(STEPS), [4, 9])
    np.save(tmp_path / "v.npy", VALUES[keep])
    np.save(tmp_path / "v_timestamps.npy", STAMPS[keep])
    series = read_sensors(tmp_path / "v.npy")
    np.testing.assert_array_equal(series.timestamps, STAMPS)
    assert np.flatnonzero(np.isnan(series.values[:, 0, 0])).tolist() == [4, 9]
    np.save(tmp_path / "v_timestamps.npy", STAMPS[:5])
    with pytest.raises(InputError, match="v_timestamps.npy: 5 timestamps for 198 in values"):
        read_sensors(tmp_path / "v.npy")


def test_frames_keep_the_names_of_their_columns(tmp_path):
    """The items of a block need not be in the order of the frame; masks are no readings."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for key, values in (("eval_mask", VALUES > 50), ("pm25", VALUES), ("pm10", VALUES + 1)):
            group = file.create_group(key)
            group["axis0"], group["block0_items"] = (
                np.array(["a", "b", "c"], "S1"),
                np.array(["c", "a", "b"], "S1"),
            )
            group.create_dataset("axis1", data=EPOCH).attrs["kind"] = b"datetime64[s]"
            group["block0_values"] = values
    series = read_sensors(tmp_path / "a.h5")
    assert series.sensor_ids == ("c", "a", "b")
    assert series.channels == ("pm25",) or series.channels == ("pm10",)
    assert len(series.faults) == 1
    assert series.faults[0].startswith("frames of the same size were not read: pm")
    np.testing.assert_array_equal(series.timestamps, STAMPS)
    with h5py.File(tmp_path / "a.h5", "a") as file:
        del file["pm10"], file["pm25/axis1"]
        file["pm25"].create_dataset("axis1", data=at(EPOCH, 3, np.iinfo(np.int64).min)).attrs["kind"] = (
            b"datetime64[s]"
        )
    with pytest.raises(InputError, match="time stamps are missing in row 3"):
        read_sensors(tmp_path / "a.h5")


KEYS = (
    "values",
    "data",
    "timestamps",
    "sensor_ids",
    "channels",
    "mask",
    "adjacency",
    "distance_km",
    "lat",
    "lon",
    "mean",
    "std",
)
KINDS = (
    "f2",
    "f4",
    "f8",
    ">f8",
    "g",
    "c8",
    "i1",
    "i8",
    "u8",
    "?",
    "S3",
    "U3",
    "M8[s]",
    "M8[D]",
    "m8[s]",
    "V4",
    "M8",
)
shapes = st.one_of(
    st.sampled_from(
        [
            (),
            (0,),
            (6,),
            (3,),
            (6, 3),
            (6, 3, 1),
            (6, 3, 3),
            (3, 3),
            (1, 1),
            (6, 1),
            (0, 3),
            (6, 0),
            (6, 3, 1, 1),
        ]
    ),
    st.lists(st.integers(0, 7), max_size=4).map(tuple),
)
arrays = st.tuples(
    shapes, st.sampled_from(KINDS), st.sampled_from(["count", "zero", "nan", "inf", "huge", "noise"])
)


def filled(shape, kind, content):
    size = int(np.prod(shape))
    numbers = {
        "count": np.arange(size),
        "zero": np.zeros(size),
        "nan": np.full(size, np.nan),
        "inf": np.full(size, np.inf),
        "huge": np.arange(size) * 1e300,
        "noise": np.random.default_rng(size).normal(size=size),
    }[content]
    if kind[0] in "SUV":
        return np.array([str(n) for n in numbers], dtype="U3").reshape(shape).astype(kind)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind[0] in "Mm" and content in ("nan", "huge"):
            return np.full(shape, "NaT", dtype=kind if kind != "M8" else "M8[s]")
        numbers = numbers.reshape(shape)
        return (
            numbers.astype(kind)
            if kind[0] not in "Mm"
            else np.zeros(shape, "i8").astype(kind if kind != "M8" else "M8[s]")
        )


@settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    found=st.dictionaries(st.sampled_from(KEYS), arrays, max_size=6),
    sound=st.booleans(),
    steps_per_day=st.sampled_from([None, 24, 7]),
    missing=st.sampled_from([None, 0.0, np.inf, 1e39]),
)
def test_any_arrays_are_a_series_or_one_sentence(tmp_path, found, sound, steps_per_day, missing):
    given_arrays = {"values": VALUES[:6]} if sound else {}
    np.savez(
        tmp_path / "s.npz",
        **given_arrays | {k: filled(*a) for k, a in found.items() if not (sound and k == "values")},
    )
    said = ""
    try:
        data = load_sensors(
            tmp_path / "s.npz",
            window=1,
            horizon=1,
            test_fraction=0.4,
            steps_per_day=steps_per_day,
            missing=missing,
        )
    except InputError as error:
        said = str(error)
    else:
        assert np.isfinite(data.train.scaler.std.numpy()).all()
    assert "\n" not in said
    assert len(said) < 600
