"""Readers, each on a small file of its true layout."""

from __future__ import annotations

import json
import pickle

import numpy as np
import pytest
import torch

from graphprune.data.formats.clocks import fill_clock
from graphprune.data.formats.common import clock
from graphprune.data.formats.links import read_links
from graphprune.data.sensors import read_sensors
from graphprune.data.windows import load_sensors, window_data
from graphprune.errors import InputError

RNG = np.random.default_rng(0)
VALUES = RNG.gamma(2, 10, size=(60, 4)).astype(np.float32)
IDS = ("773869", "767541", "767542", "717447")
NS = 1_330_560_000 * 10**9 + np.arange(60) * 300 * 10**9


BYTES = np.array(IDS, dtype="S6")


def write_frame(path, key="df", *, values=VALUES, ids=BYTES, stamps=NS, **options):
    """A data frame as pandas' fixed format stores it."""
    h5py = pytest.importorskip("h5py")
    with h5py.File(path, "a") as file:
        group = file.create_group(key)
        group.create_dataset("axis0", data=ids)
        group.create_dataset("axis1", data=stamps).attrs["kind"] = b"datetime64"
        group.create_dataset("block0_items", data=ids)
        group.create_dataset("block0_values", data=values, **options)
    return path


def test_metr_la_frame_is_memory_mapped(tmp_path):
    series = read_sensors(write_frame(tmp_path / "metr-la.h5", values=VALUES.astype(np.float64)), missing=0)
    assert series.sensor_ids == IDS
    assert series.channels == ("df",)
    assert series.steps_per_day == 288
    assert str(series.timestamps[0]) == "2012-03-01T00:00:00"
    assert isinstance(series.values.base, np.memmap)
    np.testing.assert_array_equal(series.block(0, 60)[:, :, 0], VALUES)
    data = window_data(series, window=3, horizon=2)
    expected = VALUES[data.test.starts[0] + 3 : data.test.starts[0] + 5] - data.train.scaler.mean[0].item()
    found = data.test.readings(torch.tensor([0]), past=False)[0] * data.info.target_std
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_pems_bay_frame_with_an_hour_missing(tmp_path):
    keep = np.delete(np.arange(60), [20, 21, 22])
    path = write_frame(
        tmp_path / "pems-bay.h5",
        "speed",
        values=VALUES[keep],
        ids=np.arange(4),
        stamps=NS[keep],
        chunks=(5, 4),
    )
    series = read_sensors(path)
    assert series.sensor_ids == ("0", "1", "2", "3")
    assert series.values.shape == (60, 4, 1)
    np.testing.assert_array_equal(np.flatnonzero(~series.mask.all(axis=(1, 2))), [20, 21, 22])
    np.testing.assert_array_equal(series.values[keep, :, 0], VALUES[keep])
    assert series.faults == ("3 of 60 time stamps are missing (rows of NaN were inserted)",)


def test_integers_and_side_frames_of_hdf5(tmp_path):
    path = write_frame(tmp_path / "full437.h5", "pm25", values=(VALUES * 10).astype(np.int64))
    write_frame(path, "eval_mask", values=VALUES[:, :2], ids=np.arange(2))
    series = read_sensors(path)
    assert series.channels == ("pm25",)
    np.testing.assert_array_equal(series.values[:, :, 0], (VALUES * 10).astype(np.int64))


def test_nothing_pickled_is_opened(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = write_frame(tmp_path / "a.h5")
    with h5py.File(path, "a") as file:
        for axis in ("axis0", "block0_items"):
            del file[f"df/{axis}"]
            pickled = file.create_dataset(f"df/{axis}", (1,), dtype=h5py.vlen_dtype(np.uint8))
            pickled[0] = np.frombuffer(pickle.dumps(["x"]), dtype=np.uint8)
    series = read_sensors(path)
    assert series.sensor_ids == ("sensor_0", "sensor_1", "sensor_2", "sensor_3")
    assert "pickled" in series.faults[0]
    other = tmp_path / "adj_mx.pkl"
    other.write_bytes(pickle.dumps(np.eye(4)))
    for attempt in (lambda: read_sensors(other), lambda: read_sensors(path, adjacency=other)):
        with pytest.raises(InputError, match="is a pickle"):
            attempt()


def test_hdf5_of_other_kinds_is_refused(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file["weights"] = np.eye(3)
    with pytest.raises(InputError, match="contains weights but no pandas frame of numbers over time"):
        read_sensors(tmp_path / "b.h5")
    (tmp_path / "c.h5").write_bytes(b"\x89HDF\r\n")
    with pytest.raises(InputError, match="not a readable HDF5 file"):
        read_sensors(tmp_path / "c.h5")


def test_pems_npz_with_stations_and_distances(tmp_path):
    data = RNG.gamma(2, 10, size=(50, 3, 3))
    np.savez_compressed(tmp_path / "PEMS03.npz", data=data)
    (tmp_path / "PEMS03.txt").write_text("313344\n313349\n313353\n")
    (tmp_path / "PEMS03.csv").write_text("from,to,distance\n313344,313349,2.5\n313353,313344,1.5\n")
    series = read_sensors(tmp_path / "PEMS03.npz", distance=tmp_path / "PEMS03.csv")
    assert series.channels == ("flow", "occupancy", "speed")
    assert series.steps_per_day == 288
    assert series.distance_km.tolist() == [[np.inf, 2.5, np.inf], [np.inf] * 3, [1.5, np.inf, np.inf]]
    # The kernel's width is 0.5, the standard deviation of both: exp(-9) and exp(-25) are below its floor.
    assert series.links.tolist() == [[0] * 3] * 3
    (tmp_path / "PEMS03.txt").unlink()
    (tmp_path / "PEMS03.csv").write_text("from,to,cost\n0,1,2.5\n2,0,1.5\n")
    again = read_sensors(tmp_path / "PEMS03.npz", distance=tmp_path / "PEMS03.csv")
    np.testing.assert_array_equal(again.distance_km, series.distance_km)
    assert again.sensor_ids == ("0", "1", "2")


def test_large_st_year_with_its_adjacency(tmp_path):
    """``ca_his_raw_2019.h5``: a frame ``t`` of float64, names as texts; ``ca_rn_adj.npy`` beside it."""
    path = write_frame(tmp_path / "ca_his_raw_2019.h5", "t", values=VALUES.astype(np.float64))
    strengths = np.array([[1, 0.4, 0, 0], [0, 1, 0, 0], [0, 0.8, 1, 0], [0, 0, 0, 1]])
    np.save(tmp_path / "ca_rn_adj.npy", strengths)
    series = read_sensors(path, adjacency=tmp_path / "ca_rn_adj.npy")
    assert isinstance(series.values.base, np.memmap)
    assert series.sensor_ids == IDS
    np.testing.assert_array_equal(series.adjacency, strengths.astype(np.float32))
    assert series.links[1, 2] == 1
    assert series.links[0, 1] == pytest.approx(0.5)


def test_tsl_frames_with_distances(tmp_path):
    """``metr_la.h5`` and ``metr_la_dist.npy``, where infinity is no road."""
    path = write_frame(tmp_path / "metr_la.h5", "df", values=VALUES.astype(np.float64))
    metres = np.full((4, 4), np.inf, dtype=np.float32)
    np.fill_diagonal(metres, 0)
    metres[0, 1], metres[1, 2], metres[2, 3] = 100.0, 300.0, 900.0
    np.save(tmp_path / "metr_la_dist.npy", metres)
    series = read_sensors(path, distance=tmp_path / "metr_la_dist.npy", missing=0)
    width = np.std([100, 300, 900])
    expected = np.exp(-((np.array([100, 300]) / width) ** 2))
    np.testing.assert_allclose(series.links[[0, 1], [1, 2]], expected, rtol=1e-5)
    # exp(-(900 / 340)^2) is below the floor, and infinity is no link.
    assert (series.links[3] == 0).all()


def test_readings_that_lie_anywhere_in_an_hdf5_file(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "odd.h5"
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset("pad", data=np.zeros(3, dtype=np.uint8))
    write_frame(path, "df")
    data = window_data(read_sensors(path), window=3, horizon=2)
    np.testing.assert_array_equal(data.train.series.values[:, :, 0], VALUES)
    x = next(data.train.batches([torch.tensor([0])], device=torch.device("cpu"))).x
    scaled = (VALUES[:3] - data.train.scaler.mean[0].item()) / data.train.scaler.std[0].item()
    np.testing.assert_allclose(x[0, :, :, 0], scaled, rtol=1e-4, atol=1e-5)


def test_large_st_training_file(tmp_path):
    steps = np.arange(200)
    day = (steps % 96) / 96
    week = (steps // 96 + 2) % 7 / 7
    scaled = (VALUES[:, :2].repeat(4, axis=0)[:200] - 20) / 5
    data = np.stack([scaled, np.tile(day[:, None], 2), np.tile(week[:, None], 2)], axis=2)
    np.savez_compressed(tmp_path / "his.npz", data=data, mean=20.0, std=5.0)
    series = read_sensors(tmp_path / "his.npz")
    np.testing.assert_allclose(series.values[:, :, 0], scaled * 5 + 20, rtol=1e-5)
    assert series.steps_per_day == 96
    # 2001-01-03 was a Wednesday, weekday 2.
    assert str(series.timestamps[0]) == "2001-01-03T00:00:00"


def test_urban_ev_table(tmp_path):
    rows = [f"2022-09-01 {hour:02d}:00:00,{hour},{hour * 2 if hour != 5 else ''}" for hour in range(24)]
    (tmp_path / "volume.csv").write_text("time,102,104\n" + "\n".join(rows) + "\n")
    (tmp_path / "adj.csv").write_text("102,104\n0,1\n1,0\n")
    series = read_sensors(tmp_path / "volume.csv", adjacency=tmp_path / "adj.csv")
    assert series.sensor_ids == ("102", "104")
    assert series.channels == ("volume",)
    assert str(series.timestamps[23]) == "2022-09-01T23:00:00"
    assert np.argwhere(~series.mask).tolist() == [[5, 1, 0]]
    assert series.values[7, :, 0].tolist() == [7, 14]
    assert series.adjacency.tolist() == [[0, 1], [1, 0]]


def test_st_evcdp_table_with_its_clock(tmp_path):
    rows = [f"{i},{i * 1.5},{i}" for i in range(30)]
    (tmp_path / "occupancy.csv").write_text("timestamp,102,104\n" + "\n".join(rows) + "\n")
    stamps = [f"6,19,2022,{i * 5 // 60},{i * 5 % 60},0" for i in range(30)]
    (tmp_path / "time.csv").write_text("month,day,year,hour,minute,second\n" + "\n".join(stamps) + "\n")
    (tmp_path / "distance.csv").write_text(",102,104\n102,0,1.5\n104,1.5,0\n")
    series = read_sensors(tmp_path / "occupancy.csv", distance=tmp_path / "distance.csv")
    assert series.sensor_ids == ("102", "104")
    assert series.steps_per_day == 288
    assert str(series.timestamps[13]) == "2022-06-19T01:05:00"
    assert series.values[4, :, 0].tolist() == [6, 4]
    assert series.distance_km.tolist() == [[0, 1.5], [1.5, 0]]


def test_table_without_a_clock(tmp_path):
    np.savetxt(tmp_path / "speed.csv", VALUES, delimiter=",")
    with pytest.raises(InputError, match="no time stamps"):
        read_sensors(tmp_path / "speed.csv")
    series = read_sensors(tmp_path / "speed.csv", steps_per_day=96)
    assert series.values.shape == (60, 4, 1)
    np.testing.assert_allclose(series.values[:, :, 0], VALUES, rtol=1e-6)
    (tmp_path / "bad.csv").write_text("time,a\n2024-01-01,1\n2024-01-02,1,2\n")
    with pytest.raises(InputError, match="not a readable table"):
        read_sensors(tmp_path / "bad.csv")
    (tmp_path / "words.csv").write_text("time,a\n2024-01-01,low\n2024-01-02,high\n")
    with pytest.raises(InputError, match="'a' contains"):
        read_sensors(tmp_path / "words.csv")


def test_npy_is_memory_mapped_with_stamps_beside(tmp_path):
    np.save(tmp_path / "big.npy", VALUES)
    np.save(tmp_path / "big_timestamps.npy", clock(60, 288))
    series = read_sensors(tmp_path / "big.npy")
    assert isinstance(series.values.base, np.memmap)
    assert series.steps_per_day == 288
    data = load_sensors(tmp_path / "big.npy", window=3, horizon=2)
    batch = next(data.train.batches([torch.arange(4)], device=torch.device("cpu")))
    assert batch.x.shape == (4, 3, 4, len(data.info.channels))
    np.testing.assert_array_equal(np.load(tmp_path / "big.npy"), VALUES)


def test_basicts_folder_with_dat(tmp_path):
    steps = np.arange(60)
    clocked = np.stack(
        [VALUES, *[np.tile(c[:, None], 4) for c in ((steps % 288 + 12) / 288, steps * 0 + 3 / 7)]], 2
    )
    clocked.astype(np.float32).tofile(tmp_path / "data.dat")
    facts = {
        "name": "METR-LA",
        "shape": [60, 4, 3],
        "frequency (minutes)": 5,
        "feature_description": ["traffic speed", "time of day", "day of week"],
    }
    (tmp_path / "desc.json").write_text(json.dumps(facts))
    series = read_sensors(tmp_path)
    assert series.name == "METR-LA"
    assert series.channels == ("traffic speed",)
    np.testing.assert_array_equal(series.values[:, :, 0], VALUES)
    assert str(series.timestamps[0]) == "2001-01-04T01:00:00"
    (tmp_path / "desc.json").write_text(json.dumps({**facts, "shape": [61, 4, 3]}))
    with pytest.raises(InputError, match="check desc"):
        read_sensors(tmp_path)


def test_basicts_folder_in_parts(tmp_path):
    facts = {"name": "toy", "frequency (minutes)": 15, "timestamps_description": ["time of day"]}
    (tmp_path / "meta.json").write_text(json.dumps({**facts, "null_val": np.nan}))
    for part, rows in (("train", slice(0, 40)), ("val", slice(40, 50)), ("test", slice(50, 60))):
        np.save(tmp_path / f"{part}_data.npy", VALUES[rows])
    np.save(tmp_path / "train_timestamps.npy", np.array([[0.5], [0.51]]))
    series = read_sensors(tmp_path)
    np.testing.assert_array_equal(series.values[:, :, 0], VALUES)
    assert series.steps_per_day == 96
    assert str(series.timestamps[0])[11:] == "12:00:00"
    (tmp_path / "meta.json").unlink()
    with pytest.raises(InputError, match="BasicTS"):
        read_sensors(tmp_path)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"shape": [60, 4]}, "does not match float32 of shape .*check desc\\.json"),
        ({"shape": "60,4,1"}, "does not match float32 of shape .*check desc\\.json"),
        ({"feature_description": ["speed", "time of day"]}, "for 1 channels; describe every channel"),
        ({"frequency (minutes)": None}, "the description has no 'frequency \\(minutes\\)'"),
        ({"frequency (minutes)": "often"}, "'frequency \\(minutes\\)' is 'often'"),
        ({"frequency (minutes)": 10080}, "at most 1440"),
        ({"frequency (minutes)": 7}, "must divide 86,400"),
    ],
)
def test_faulty_descriptions_of_basicts_are_refused(tmp_path, facts, message):
    VALUES.tofile(tmp_path / "data.dat")
    sound = {"shape": [60, 4, 1], "frequency (minutes)": 5}
    (tmp_path / "desc.json").write_text(json.dumps(sound | facts))
    with pytest.raises(InputError, match=message):
        read_sensors(tmp_path)
    (tmp_path / "desc.json").write_text(json.dumps(sound))
    assert read_sensors(tmp_path, steps_per_day=288).steps_per_day == 288
    with pytest.raises(InputError, match="its clock has 288 steps per day but steps_per_day is 96"):
        read_sensors(tmp_path, steps_per_day=96)


@pytest.mark.parametrize(
    "stamps", [np.zeros((2, 1)), np.zeros((0, 2)), np.full((1, 2), np.nan), np.float32(1)]
)
def test_faulty_time_stamps_of_basicts_are_refused(tmp_path, stamps):
    facts = {"frequency (minutes)": 15, "timestamps_description": ["time of day", "day of week"]}
    (tmp_path / "meta.json").write_text(json.dumps(facts))
    for part in ("train", "val", "test"):
        np.save(tmp_path / f"{part}_data.npy", VALUES)
    np.save(tmp_path / "train_timestamps.npy", stamps)
    with pytest.raises(InputError, match="meta.json describes 2 columns|must be fractions below 1"):
        read_sensors(tmp_path)


@pytest.mark.parametrize("layout", ["npy", "npz", "plain.csv", "whole.csv", "list.csv", "bare.csv"])
def test_the_same_links_from_every_layout(tmp_path, layout):
    wanted = np.array([[0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0], [1, 0, 0, 0]], dtype=np.float32)
    path = tmp_path / f"adj.{layout}"
    match layout:
        case "npy":
            np.save(path, wanted.astype(np.float64))
        case "npz":
            np.savez(path, edge_index=np.argwhere(wanted).T, edge_weight=np.ones(3))
        case "plain.csv":
            np.savetxt(path, wanted, delimiter=",")
        case "whole.csv":
            np.savetxt(path, wanted, delimiter=",", fmt="%d")
        case "list.csv":
            path.write_text(
                "from,to,cost\n" + "".join(f"{IDS[i]},{IDS[j]},1\n" for i, j in np.argwhere(wanted))
            )
        case "bare.csv":
            path.write_text("".join(f"{i},{j},1\n" for i, j in np.argwhere(wanted)))
    np.testing.assert_array_equal(read_links(path, IDS, absent=0)[0], wanted)


def test_faulty_links_are_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.eye(3))
    with pytest.raises(InputError, match="has 4 sensors"):
        read_links(tmp_path / "a.npy", IDS, absent=0)
    (tmp_path / "a.csv").write_text(f"from,to,cost\n{IDS[0]},99,1\n")
    with pytest.raises(InputError, match="sensor '99'"):
        read_links(tmp_path / "a.csv", IDS, absent=0)
    np.savez(tmp_path / "a.npz", edge_index=np.array([[0, 9], [1, 1]]), edge_weight=np.ones(2))
    with pytest.raises(InputError, match=r"outside 0\.\.3"):
        read_links(tmp_path / "a.npz", IDS, absent=0)
    series = write_frame(tmp_path / "a.h5")
    with pytest.raises(InputError, match="not both"):
        read_sensors(series, adjacency=tmp_path / "a.npy", distance=tmp_path / "a.npy")


def test_clocks_with_few_stamps_are_refused(tmp_path):
    with pytest.raises(InputError, match="the clock jumps"):
        fill_clock(VALUES[:3], clock(60, 288)[[0, 1, 59]], tmp_path)
    with pytest.raises(InputError, match="do not ascend"):
        fill_clock(VALUES[:3], clock(3, 288)[[0, 0, 1]], tmp_path)
