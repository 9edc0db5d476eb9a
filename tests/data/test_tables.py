"""Tables of readings: clocks and indices in the first column, and first rows that are names or data."""

from __future__ import annotations

import numpy as np
import pytest

from graphprune.data.sensors import read_sensors
from graphprune.errors import InputError

STEPS = 200
START = np.datetime64("2024-03-04T00:00:00", "s")
STAMPS = START + np.arange(STEPS) * np.timedelta64(900, "s")
EPOCH = STAMPS.astype(np.int64)
COUNTS = np.random.default_rng(0).poisson(50, (STEPS, 3))

pytestmark = pytest.mark.filterwarnings("error")


def write(path, first, header="ts,p,q,r", counts=COUNTS):
    """A table with the cells ``first`` before the readings; no header if it is None."""
    rows = [
        ",".join(map(str, (*([cell] if cell is not None else []), *row)))
        for cell, row in zip(first, counts.tolist(), strict=True)
    ]
    path.write_text("\n".join([*([header] if header else []), *rows]) + "\n")
    return path


CLOCKS = {
    "dates": STAMPS,
    "dates to the minute": [str(s)[:16].replace("T", " ") for s in STAMPS],
    "dates with fractions": [f"{s}.000" for s in STAMPS],
    "UTC": [f"{s}Z" for s in STAMPS],
    "a zone": [f"{s}+02:00" for s in STAMPS + np.timedelta64(2, "h")],
    "seconds": EPOCH,
    "milliseconds": EPOCH * 10**3,
    "microseconds": EPOCH * 10**6,
    "nanoseconds": EPOCH * 10**9,
    "floating seconds": EPOCH.astype(float),
    "floating milliseconds": [f"{e:.1f}" for e in EPOCH * 1e3],
}


@pytest.mark.parametrize(
    "header",
    ["timestamp,p,q,r", "Time,p,q,r", "ts,p,q,r", "datetime_utc,p,q,r", ",p,q,r", "when,p,q,r", None],
)
@pytest.mark.parametrize("clock", CLOCKS)
def test_a_clock_in_the_first_column_is_no_sensor(tmp_path, clock, header):
    series = read_sensors(write(tmp_path / "a.csv", CLOCKS[clock], header))
    np.testing.assert_array_equal(series.timestamps, STAMPS)
    np.testing.assert_array_equal(series.values[:, :, 0], COUNTS)
    assert series.sensor_ids == (("p", "q", "r") if header else ("sensor_0", "sensor_1", "sensor_2"))
    assert series.faults == ()


@pytest.mark.parametrize(
    "header", ["id,p,q,r", "step,p,q,r", ",p,q,r", "anything,p,q,r", "timestamp,p,q,r", None]
)
@pytest.mark.parametrize("start", [0, 1, 1000])
def test_a_running_index_is_no_sensor(tmp_path, header, start):
    path = write(tmp_path / "a.csv", range(start, start + STEPS), header)
    with pytest.raises(InputError, match="no time stamps"):
        read_sensors(path)
    series = read_sensors(path, steps_per_day=96)
    np.testing.assert_array_equal(series.values[:, :, 0], COUNTS)
    assert series.n_sensors == 3


def test_an_index_before_the_clock(tmp_path):
    path = tmp_path / "a.csv"
    rows = [f"{i},{s},{c[0]}" for i, (s, c) in enumerate(zip(STAMPS, COUNTS, strict=True))]
    path.write_text(",time,p\n" + "\n".join(rows))
    series = read_sensors(path)
    assert series.sensor_ids == ("p",)
    np.testing.assert_array_equal(series.timestamps, STAMPS)


def changed(cells, row, value):
    cells = list(cells)
    cells[row] = value
    return cells


@pytest.mark.parametrize(
    ("first", "header", "message"),
    [
        (changed(EPOCH, 7, EPOCH[6]), "ts,p,q,r", r"row 9 \(2024-03-04T01:30:00\) is a duplicate"),
        (changed(EPOCH, 7, EPOCH[6]), "when,p,q,r", r"row 9 \(2024-03-04T01:30:00\) is a duplicate"),
        (changed(EPOCH, 7, EPOCH[6]), None, r"row 8 \(2024-03-04T01:30:00\) is a duplicate"),
        (STAMPS[::-1], "ts,p,q,r", "row 3 .* comes after"),
        (EPOCH[::-1], "when,p,q,r", "row 3 .* comes after"),
        (changed(STAMPS, 7, ""), "ts,p,q,r", "times in the first column 'ts' are missing in row 9"),
        (changed(EPOCH, 7, ""), "when,p,q,r", "contain nan in row 9"),
        (changed(STAMPS, 7, "noon"), "ts,p,q,r", "contain 'noon' in row 9, which is not an ISO date"),
        (
            [f"{s.item():%d/%m/%Y %H:%M}" for s in STAMPS],
            "ts,p,q,r",
            "'04/03/2024 00:00' in row 2, which is not an ISO date",
        ),
        (
            [f"{s.item():%d.%m.%Y %H:%M}" for s in STAMPS],
            "ts,p,q,r",
            "'04.03.2024 00:00' in row 2, which is not an ISO date",
        ),
        ([f"{s.item():%Y%m%d%H%M}" for s in STAMPS], "ts,p,q,r", "202403040000, a date without separators"),
        (
            [f"{s.item():%Y%m%d}" for s in START.astype("M8[D]") + np.arange(STEPS)],
            "day,p,q,r",
            "20240304, a date without",
        ),
        (np.arange(STEPS) * 15, "minute,p,q,r", "'minute' contains 0, 15, 30, ...: neither dates"),
        (45355 + np.arange(STEPS) / 96, "time,p,q,r", "'time' contains 45355, .*: neither dates"),
        (np.delete(np.arange(STEPS + 1), 5), "row,p,q,r", r"0, 1, 2, ... \(then 6 in row 7\): neither dates"),
        (
            np.delete(np.arange(STEPS + 1), 5),
            "anything,p,q,r",
            r"0, 1, 2, ... \(then 6 in row 7\): neither dates",
        ),
    ],
)
def test_a_faulty_first_column_is_refused_with_its_row(tmp_path, first, header, message):
    path = write(tmp_path / "a.csv", first, header)
    for steps_per_day in (None, 96):
        with pytest.raises(InputError, match=message):
            read_sensors(path, steps_per_day=steps_per_day)


def test_missing_rows_of_a_numeric_clock_are_filled(tmp_path):
    series = read_sensors(
        write(tmp_path / "a.csv", np.delete(EPOCH, [5, 6]), "when,p,q,r", np.delete(COUNTS, [5, 6], 0))
    )
    assert len(series) == STEPS
    assert np.isnan(series.values[5:7]).all()
    assert series.faults == ("2 of 200 time stamps are missing (rows of NaN were inserted)",)


def test_a_clock_in_another_column_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    for stamps, message in ((STAMPS, "column 'time' contains dates"), (EPOCH, "column 'time' is a clock")):
        rows = [f"{c[0]},{s},{c[1]}" for s, c in zip(stamps, COUNTS, strict=True)]
        path.write_text("a,time,b\n" + "\n".join(rows))
        with pytest.raises(InputError, match=message):
            read_sensors(path, steps_per_day=96)


FIRST_ROWS = {
    # First row, readings below it, whether it is data, and the report.
    "repeated numbers": ("3,3,3", COUNTS, True, ()),
    "an empty cell": ("3,,5", COUNTS, True, ()),
    "decimals": ("3,4.5,5", COUNTS, True, ()),
    "readings": ("52,44,51", COUNTS, True, ("row 1 (52, 44, 51) was taken for readings",)),
    "counters": ("1,2,5", COUNTS.cumsum(0), True, ("row 1 (1, 2, 5) was taken for readings",)),
    "ids far from readings": ("90217,90224,8802", COUNTS, False, ()),
    "ids from 0 on": ("0,1,2", COUNTS, False, ("row 1 (0, 1, 2) was taken for sensor names",)),
    "texts": ("52,44,x", COUNTS, False, ()),
}


@pytest.mark.parametrize("case", FIRST_ROWS)
def test_whether_the_first_row_is_data(tmp_path, case):
    first, counts, is_data, faults = FIRST_ROWS[case]
    series = read_sensors(write(tmp_path / "a.csv", [None] * STEPS, first, counts), steps_per_day=96)
    assert len(series) == STEPS + is_data
    np.testing.assert_array_equal(series.values[int(is_data) :, :, 0], counts.astype(np.float32))
    assert series.faults == faults
    if is_data:
        np.testing.assert_array_equal(
            series.values[0, :, 0], [float(c) if c else np.nan for c in first.split(",")]
        )
        assert series.sensor_ids == ("sensor_0", "sensor_1", "sensor_2")
    else:
        assert series.sensor_ids == tuple(first.split(","))


def test_ascending_ids_among_the_readings_are_names(tmp_path):
    """A header of numbers as SZ-Taxi's, though as small as the readings."""
    counts = np.tile(COUNTS, 2)
    series = read_sensors(
        write(tmp_path / "a.csv", [None] * STEPS, "40,41,45,50,52,60", counts), steps_per_day=96
    )
    assert series.sensor_ids == ("40", "41", "45", "50", "52", "60")
    assert series.faults == ("row 1 (40, 41, 45, 50, ...) was taken for sensor names",)


def test_one_column_keeps_its_empty_lines(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("n\n1\n\n3\n7\n")
    np.testing.assert_array_equal(read_sensors(path, steps_per_day=96).values[:, 0, 0], [1, np.nan, 3, 7])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "begins with an empty line"),
        ("time,a\n", "has no rows"),
        ("a;b\n1;2\n", "separated by semicolons"),
        ("time,a\n2024-01-01,1\n2024-01-02,?\n", "row 3: column 'a' contains '\\?' instead of a number"),
        ("time,a\n2024-01-01,1\n2024-01-02\n", "Expected 2 columns, got 1"),
        ("time\n2024-01-01\n2024-01-02\n", "no column of readings"),
        ("a,a\n1,2\n4,3\n", "duplicate entry 'a' in sensor_ids"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, text, message):
    path = tmp_path / "a.csv"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_sensors(path, steps_per_day=96)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("2022,13,1,0", "row 4: month is '13'"),
        ("2022,2,30,0", "row 4: the month has no day 30"),
        ("2022,2,3,24", "row 4: hour is '24'"),
        ("2022,2,3,0.5", "row 4: hour is '0.5'"),
        ("2022,,3,0", "row 4: month is 'nan'"),
        ("2022,May,3,0", "month is 'May'|month is '1'"),
        (None, "has 2 rows but a.csv 3"),
    ],
)
def test_a_time_table_beside_is_checked(tmp_path, row, message):
    (tmp_path / "a.csv").write_text("p,q\n5,1\n7,3\n6,0\n")
    rows = ["2022,1,31,22", "2022,1,31,23", *([row] if row else [])]
    (tmp_path / "time.csv").write_text("year,month,day,hour\n" + "\n".join(rows))
    with pytest.raises(InputError, match=message):
        read_sensors(tmp_path / "a.csv")
    (tmp_path / "time.csv").write_text("year,month,day,hour\n2022,1,31,22\n2022,1,31,23\n2022,2,1,0\n")
    assert str(read_sensors(tmp_path / "a.csv").timestamps[2]) == "2022-02-01T00:00:00"
