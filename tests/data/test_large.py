"""Series that must not be in memory whole, on files a thousandth of LargeST's size with limits as much smaller."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from graphprune.data.formats import large
from graphprune.data.formats.large import read_arrays
from graphprune.data.sensors import read_sensors
from graphprune.errors import InputError
from graphprune.files import read_npz

STEPS, SENSORS = 6000, 1000

# Everything that a run does with a series before training, while a thread watches what is in memory and in no file.
WATCH = """
import sys, threading, time
import numpy as np, torch
from graphprune.data.formats import large
from graphprune.data import sensors, windows
from graphprune.embed.windows import window_statistics
from graphprune.samplers.stationarity import roughness
from graphprune.scores.input_complexity import input_complexity
from graphprune.train.naive import historical_average, last_value, naive_errors

torch.set_num_threads(1)
large.LARGE_BYTES, large._BLOCK_BYTES = 1 << 20, 1 << 17
sensors._BLOCK_VALUES, windows._BLOCK_VALUES = 1 << 16, 1 << 16

def anonymous():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) / 1024

def work(path, stride):
    series = sensors.read_sensors(path, steps_per_day=24)
    data = windows.window_data(series, window=12, horizon=12, stride=stride)
    for rows in data.train.blocks():
        roughness(data.train.readings(rows, past=True))
    window_statistics(data.train), input_complexity(data.train)
    for batch in data.train.batches(torch.arange(40).split(2), device=torch.device("cpu")):
        batch.x.sum()
    for forecast in (last_value(data.test), historical_average(data.train, data.test)):
        print(naive_errors(data.test, forecast, data.info)["all"]["mae"])

if sys.argv[1].endswith(".h5"):
    import h5py
small = np.random.default_rng(0).gamma(2, 10, size=(600, 4, 1)).astype(np.float32)
np.savez(sys.argv[1] + ".warm.npz", values=small)
work(sys.argv[1] + ".warm.npz", 1)
before, peak, done = anonymous(), [0.0], threading.Event()

def watch():
    while not done.is_set():
        peak[0] = max(peak[0], anonymous())
        time.sleep(0.001)

watcher = threading.Thread(target=watch)
watcher.start()
work(sys.argv[1], 60)
done.set()
watcher.join()
print("grew", peak[0] - before)
"""


@pytest.fixture(scope="module")
def values():
    rng = np.random.default_rng(0)
    values = rng.poisson(20, size=(STEPS, SENSORS)).astype(np.float32)
    values[rng.random(values.shape) < 0.02] = np.nan
    return values


def write(path: Path, values: np.ndarray, layout: str) -> Path:
    if layout == "npy":
        np.save(path / "a.npy", values)
        return path / "a.npy"
    if layout == "npz":
        np.savez_compressed(path / "a.npz", values=values.astype(np.float64), mask=~np.isnan(values))
        return path / "a.npz"
    h5py = pytest.importorskip("h5py")
    stamps = 1_546_300_800 * 10**9 + np.arange(len(values)) * 3600 * 10**9
    with h5py.File(path / "a.h5", "w") as file:
        group = file.create_group("t")
        ids = np.array([str(i) for i in range(values.shape[1])], dtype="S4")
        group.create_dataset("axis0", data=ids)
        group.create_dataset("axis1", data=stamps).attrs["kind"] = b"datetime64"
        group.create_dataset("block0_items", data=ids)
        options = {"chunks": (64, 100), "compression": "gzip", "compression_opts": 1}
        group.create_dataset("block0_values", data=values, **(options if layout == "chunked.h5" else {}))
    return path / "a.h5"


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is measured through /proc")
@pytest.mark.parametrize("layout", ["npy", "npz", "h5", "chunked.h5"])
def test_a_large_series_is_never_in_memory_whole(tmp_path, values, layout):
    path = write(tmp_path, values, layout)
    whole = values.nbytes / 2**20
    done = subprocess.run(
        [sys.executable, "-c", WATCH, str(path)], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    grew = float(done.stdout.split("grew")[1])
    # The slots of a week of 1000 sensors are 1.3 MiB in float64, and the average keeps some of them.
    assert grew < 0.75 * whole, (grew, whole)


def test_what_is_unpacked_to_a_file_is_the_same(tmp_path, monkeypatch):
    rng = np.random.default_rng(1)
    values = rng.normal(size=(500, 30, 2))
    mask = rng.random(values.shape) < 0.9
    np.savez_compressed(tmp_path / "a.npz", values=values, mask=mask)
    monkeypatch.setattr(large, "LARGE_BYTES", 1000)
    monkeypatch.setattr(large, "_BLOCK_BYTES", 3000)
    arrays = read_arrays(tmp_path / "a.npz")
    assert isinstance(arrays["values"], np.memmap)
    np.testing.assert_array_equal(arrays["values"], values.astype(np.float32))
    np.testing.assert_array_equal(arrays["mask"], mask)
    series = read_sensors(tmp_path / "a.npz", steps_per_day=24)
    np.testing.assert_array_equal(series.values, np.where(mask, values, np.nan).astype(np.float32))
    assert [path.name for path in tmp_path.iterdir()] == ["a.npz"]
    data = np.stack([values[..., 0]] * 3, axis=2)
    data[..., 1], data[..., 2] = (np.arange(500) % 96 / 96)[:, None], 0
    np.savez(tmp_path / "his.npz", data=data, mean=20.0, std=5.0)
    flow = read_sensors(tmp_path / "his.npz").values[:, :, 0]
    np.testing.assert_allclose(flow, values[..., 0] * 5 + 20, rtol=1e-5)


def test_large_archives_are_refused_as_small_ones_are(tmp_path, monkeypatch):
    monkeypatch.setattr(large, "LARGE_BYTES", 1000)
    path = tmp_path / "a.npz"
    np.savez_compressed(path, values=np.array([object()] * 600, dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="not a readable .npz archive"):
        read_arrays(path)
    np.savez(path, values=np.random.default_rng(0).normal(size=(500, 3)))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match="not a readable .npz archive"):
        read_arrays(path)
    np.savez(path, values=np.asfortranarray(np.ones((500, 3))))
    with pytest.raises(InputError, match="Fortran"):
        read_arrays(path)


@pytest.mark.parametrize("at", ["version of zip", "header"])
def test_archives_damaged_at_their_core_are_refused(tmp_path, monkeypatch, at):
    monkeypatch.setattr(large, "LARGE_BYTES", 1000)
    path = tmp_path / "a.npz"
    np.savez(path, values=np.ones((500, 3)))
    content = bytearray(path.read_bytes())
    if at == "header":
        place = content.index(b"{'descr'")
        content[place : place + 3] = b"}]\\"
    else:
        content[content.index(b"PK\x01\x02") + 6] = 206
    path.write_bytes(content)
    for read in (read_arrays, read_npz, read_sensors):
        with pytest.raises(InputError, match="not a readable .npz archive"):
            read(path)


def test_a_file_that_is_an_array_before_and_an_archive_behind_is_read_as_the_archive(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, values=np.ones((5, 3)))
    np.save(tmp_path / "b.npy", np.zeros(7))
    path.write_bytes((tmp_path / "b.npy").read_bytes() + path.read_bytes())
    for read in (read_arrays, read_npz):
        np.testing.assert_array_equal(read(path)["values"], np.ones((5, 3)))
