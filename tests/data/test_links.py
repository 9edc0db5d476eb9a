"""Links of sensors: joined to the series by name where there are names, in every layout."""

from __future__ import annotations

import numpy as np
import pytest

from graphprune.data.formats.links import read_links
from graphprune.data.sensors import SensorSeries, read_sensors, with_links
from graphprune.errors import InputError

IDS = ("a", "b", "c", "d")
# a -> b and c -> d, and the same with rows b, d, a, c and columns d, c, b, a.
WANTED = np.array([[0, 2, 0, 0], [0, 0, 0, 0], [0, 0, 0, 3], [0, 0, 0, 0]], dtype=np.float32)
ROWS, COLUMNS = ("b", "d", "a", "c"), ("d", "c", "b", "a")
PERMUTED = WANTED[np.ix_([IDS.index(r) for r in ROWS], [IDS.index(c) for c in COLUMNS])]
BY_COLUMNS = WANTED[np.ix_([IDS.index(c) for c in COLUMNS], [IDS.index(c) for c in COLUMNS])]


def lines(rows):
    return "".join(",".join(str(cell) for cell in row) + "\n" for row in rows)


def numbered(matrix):
    return matrix.astype(int).tolist()


TABLES = {
    "rows and columns": lines(
        [("", *COLUMNS), *((r, *row) for r, row in zip(ROWS, numbered(PERMUTED), strict=True))]
    ),
    "padded names": lines(
        [
            (" ", *(f" {c} " for c in COLUMNS)),
            *((r, *row) for r, row in zip(ROWS, numbered(PERMUTED), strict=True)),
        ]
    ),
    "header only": lines([COLUMNS, *numbered(BY_COLUMNS)]),
    "rows only": lines((c, *row) for c, row in zip(COLUMNS, numbered(BY_COLUMNS), strict=True)),
    "without names": lines(numbered(WANTED)),
    "list": "from,to,cost\na,b,2\nc,d,3\n",
    "list in another order": "cost,to,from\n2,b,a\n3,d,c\n",
    "list with an index": ",source,target,weight\n0,a,b,2\n1,c,d,3\n",
    "list without header": "a,b,2\nc,d,3\n",
}


@pytest.mark.parametrize("layout", TABLES)
def test_names_decide_where_a_link_goes(tmp_path, layout):
    path = tmp_path / "links.csv"
    path.write_text(TABLES[layout])
    matrix, faults = read_links(path, IDS, absent=0)
    np.testing.assert_array_equal(matrix, WANTED)
    assert faults == ()


def test_names_beside_matrices_in_archives(tmp_path):
    path = tmp_path / "links.npz"
    both = {"adjacency": BY_COLUMNS, "distance_km": BY_COLUMNS * 5}
    for arrays in (
        {"sensor_ids": COLUMNS, **both},
        {"nodes": COLUMNS, "m": BY_COLUMNS},
        {
            "edge_index": np.argwhere(BY_COLUMNS).T,
            "edge_weight": BY_COLUMNS[BY_COLUMNS > 0],
            "names": COLUMNS,
        },
        {"m": WANTED},
    ):
        np.savez(path, **arrays)
        np.testing.assert_array_equal(read_links(path, IDS, absent=0)[0], WANTED)
    np.savez(path, sensor_ids=COLUMNS, **both)
    np.testing.assert_array_equal(read_links(path, IDS, absent=np.inf)[0], WANTED * 5)
    np.savez(path, adjacency=WANTED, channels=["speed"], mask=np.ones(9))
    np.testing.assert_array_equal(read_links(path, IDS, absent=0)[0], WANTED)
    with pytest.raises(InputError, match="give one matrix .* called 'distance_km'"):
        read_links(path, IDS, absent=np.inf)
    np.savez(path, one=WANTED, two=WANTED)
    with pytest.raises(
        InputError, match=r"one \[4, 4\], two \[4, 4\]; give one matrix \[N, N\], called 'adjacency'"
    ):
        read_links(path, IDS, absent=0)
    np.savez(path, edge_index=np.zeros((2, 3), int), edge_weight=np.ones(2))
    with pytest.raises(InputError, match="2 weights for 3 links"):
        read_links(path, IDS, absent=0)


def test_frames_and_bare_matrices_in_hdf5(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "frame.h5", "w") as file:
        group = file.create_group("adj")
        group["axis0"], group["axis1"] = np.array(COLUMNS, "S1"), np.array(ROWS, "S1")
        group["block0_items"], group["block0_values"] = np.array(COLUMNS, "S1"), PERMUTED
    with h5py.File(tmp_path / "bare.h5", "w") as file:
        file["adj"] = WANTED
    for name in ("frame", "bare"):
        np.testing.assert_array_equal(read_links(tmp_path / f"{name}.h5", IDS, absent=0)[0], WANTED)
    with h5py.File(tmp_path / "bare.h5", "a") as file:
        file["more"] = WANTED
    with pytest.raises(InputError, match="must contain exactly one matrix of links"):
        read_links(tmp_path / "bare.h5", IDS, absent=0)


def test_names_of_numbers_and_leading_zeros(tmp_path):
    path = tmp_path / "links.csv"
    path.write_text(",20.0,7\n20,0,4\n7.0,5,0\n")
    matrix, _ = read_links(path, ("7", "20"), absent=0)
    assert matrix.tolist() == [[0, 5], [4, 0]]
    path.write_text(",007,003\n007,0,4\n003,5,0\n")
    assert read_links(path, ("003", "007"), absent=0)[0].tolist() == [[0, 5], [4, 0]]
    path.write_text("from,to,cost\n007,NA,4\n")
    assert read_links(path, ("NA", "007"), absent=0)[0].tolist() == [[0, 0], [4, 0]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            ",1,2,3,4\n1,0,1,0,0\n2,1,0,0,0\n3,0,0,0,1\n4,0,0,1,0\n",
            "no row for 4 of 4 sensors, the first is 'a'",
        ),
        (",a,b,c\na,0,1,0\nb,1,0,0\nc,0,0,1\n", "no row for 1 of 4 sensors, the first is 'd'"),
        (
            ",a,b,c,d\na,0,1,0,0\nb,1,0,0,0\nc,0,0,0,1\nx,0,0,1,0\n",
            "no row for 1 of 4 sensors, the first is 'd'",
        ),
        (",a,a,c,d\na,0,1,0,0\nb,1,0,0,0\nc,0,0,0,1\nd,0,0,1,0\n", "duplicate entry 'a'"),
        ("0,1,0,0,0\n1,0,0,0,0\n", "2 rows and 5 columns"),
        ("from,to,cost\nx,y,1\nx,a,2\n", "sensor 'x', which the series does not have"),
        ("from,to,cost\na,b,far\n", "row 2: column 'value' contains 'far'"),
        (",a,b,c,d\na,0,x,0,0\nb,1,0,0,0\nc,0,0,0,1\nd,0,0,1,0\n", "row 2: column '3' contains 'x'"),
        ("from,to,lanes,kind\na,b,1,2\n", "give from, to and one value"),
        ("from,to,cost\na,b\n", "Expected 3 columns, got 2"),
        ("from,to,cost\n", "has no rows"),
        ("a,b,1e300\nc,d,1\n", None),
    ],
)
def test_what_cannot_be_joined_is_refused(tmp_path, text, message):
    path = tmp_path / "links.csv"
    path.write_text(text)
    if message is None:  # beyond float32
        series = SensorSeries("s", np.ones((3, 4, 1)), np.arange(3).astype("datetime64[s]"), IDS, ("x",))
        with pytest.raises(InputError, match="adjacency from 'a' to 'b' is inf; it must be finite"):
            with_links(series, adjacency=path)
        return
    with pytest.raises(InputError, match=message):
        read_links(path, IDS, absent=0)


def test_positions_where_one_side_has_no_names(tmp_path):
    path = tmp_path / "links.csv"
    path.write_text(lines([("", *range(4)), *((i, *row) for i, row in enumerate(numbered(WANTED)))]))
    matrix, faults = read_links(path, IDS, absent=0)
    np.testing.assert_array_equal(matrix, WANTED)
    assert faults == ("links.csv: links were matched by position, not by name",)
    unnamed = tuple(f"sensor_{i}" for i in range(4))
    path.write_text(TABLES["rows and columns"])
    matrix, faults = read_links(path, unnamed, absent=0)
    # Rows come into the order of the columns.
    np.testing.assert_array_equal(matrix, BY_COLUMNS)
    assert faults == ("links.csv: links were matched by position, because the series has no sensor names",)
    path.write_text("from,to,cost\n0,1,2\n2,3,3\n")
    for ids in (unnamed, IDS):
        np.testing.assert_array_equal(read_links(path, ids, absent=0)[0], WANTED)
    with pytest.raises(InputError, match="'1' is a sensor name, '0' is not, and both could be positions"):
        read_links(path, ("1", "2", "3", "4"), absent=0)


def test_links_of_unknown_stations_are_left_out_and_counted(tmp_path):
    """As in METR-LA's ``distances_la_2012.csv``, which lists more stations than the readings have."""
    path = tmp_path / "distances.csv"
    path.write_text(
        "from,to,cost\n1201054,1201054,0.0\n773869,767541,300\n767541,773869,310.5\n1201054,773869,9\n5,6,7\n"
    )
    np.savez(tmp_path / "s.npz", values=np.ones((5, 3)), sensor_ids=["717447", "767541", "773869"])
    series = read_sensors(tmp_path / "s.npz", steps_per_day=24, distance=path)
    expected = np.full((3, 3), np.inf)
    expected[2, 1], expected[1, 2] = 300, 310.5
    np.testing.assert_array_equal(series.distance_km, expected)
    assert series.faults == ("distances.csv: skipped 3 links of 3 stations that the series does not have",)
    path.write_text(",x,773869,767541,717447\nx,0,9,9,9\n773869,9,0,1,2\n767541,9,3,0,4\n717447,9,5,6,0\n")
    series = read_sensors(tmp_path / "s.npz", steps_per_day=24, distance=path)
    assert series.distance_km.tolist() == [[0, 6, 5], [4, 0, 3], [2, 1, 0]]
    assert series.faults == ("distances.csv: skipped 1 station that the series does not have",)


def test_repeated_links_with_other_values_are_reported(tmp_path):
    path = tmp_path / "links.csv"
    path.write_text("from,to,cost\na,b,1\na,b,2\nc,d,3\nc,d,3\n")
    matrix, faults = read_links(path, IDS, absent=0)
    np.testing.assert_array_equal(matrix, WANTED)
    assert faults == ("links.csv: 1 link repeated with another value; the last value is used",)


@pytest.mark.parametrize("header", ["i,j,w", "p,q,r"])
def test_three_columns_of_three_sensors_may_be_a_list(tmp_path, header):
    path = tmp_path / "links.csv"
    path.write_text(f"{header}\n773869,767541,1\n767541,767542,2\n767542,773869,3\n")
    matrix, _ = read_links(path, ("767541", "767542", "773869"), absent=0)
    assert matrix.tolist() == [[0, 2, 0], [0, 0, 3], [1, 0, 0]]
    path.write_text("773869,767541,767542\n0,1,2\n3,0,4\n5,6,0\n")
    matrix, _ = read_links(path, ("767541", "767542", "773869"), absent=0)
    assert matrix.tolist() == [[0, 4, 3], [6, 0, 5], [1, 2, 0]]
    path.write_text("p,q,r\n0,1,1\n1,0,1\n1,1,0\n")
    with pytest.raises(InputError, match="may be a matrix or a list of links"):
        read_links(path, ("sensor_0", "sensor_1", "sensor_2"), absent=0)


@pytest.mark.parametrize(
    ("what", "value", "message"),
    [
        ("adjacency", np.inf, "adjacency from 'b' to 'c' is inf"),
        ("correlation", -np.inf, "correlation from 'b' to 'c' is -inf"),
        ("distance_km", -1.0, "distance_km from 'b' to 'c' is -1"),
        ("distance_km", -np.inf, "distance_km from 'b' to 'c' is -inf"),
        ("adjacency", 1e300, "'adjacency' contains values beyond float32"),
        ("distance_km", 1e300, "'distance_km' contains values beyond float32"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_infinite_links_are_refused_with_their_sensors(tmp_path, what, value, message):
    matrix = np.ones((4, 4))
    matrix[1, 2] = value
    arrays = {"values": np.ones((5, 4)), "sensor_ids": IDS, what: matrix}
    np.savez(tmp_path / "s.npz", **arrays)
    with pytest.raises(InputError, match=message):
        read_sensors(tmp_path / "s.npz", steps_per_day=24)


def test_pairs_without_a_distance_are_not_linked_where_all_distances_are_equal(tmp_path):
    path = tmp_path / "distances.csv"
    path.write_text("from,to,cost\na,b,5\nc,d,5\n")
    series = SensorSeries("s", np.ones((3, 4, 1)), np.arange(3).astype("datetime64[s]"), IDS, ("x",))
    expected = (WANTED + WANTED.T) > 0
    np.testing.assert_array_equal(with_links(series, distance=path).links, expected)
