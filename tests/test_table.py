"""Score tables: order, identity, files."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphprune.errors import InputError
from graphprune.table import ScoreTable


@given(st.lists(st.integers(-(2**62), 2**62), min_size=1, max_size=30, unique=True), st.booleans())
def test_parquet_round_trip_keeps_everything_and_sorts_by_id(tmp_path_factory, ids, with_std):
    path = tmp_path_factory.mktemp("table") / "t.parquet"
    values = np.arange(len(ids), dtype=np.float32)
    std = values / 2 if with_std else None
    ScoreTable(ids, values, values > 1, std, {"score": "x"}).to_parquet(path)
    read = ScoreTable.from_parquet(path)
    order = np.argsort(ids)
    assert read.ids.tolist() == sorted(ids)
    assert read.values.tolist() == values[order].tolist()
    assert read.measured.tolist() == (values > 1)[order].tolist()
    assert (read.std is None) == (not with_std)
    assert read.metadata["score"] == "x"


def test_the_same_table_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        ScoreTable([3, 1], [0.5, 1.5], [True, False], [0.0, 0.25]).to_parquet(tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


@pytest.mark.parametrize(
    ("ids", "values", "message"),
    [
        ([1, 1, 2], [0.0, 1.0, 2.0], "2 ids|more than once, the first is 1"),
        ([1, 2], [0.0], "2 ids but 1 values"),
        ([5, 6, 7], [0.0, float("nan"), float("inf")], "2 of 3 samples .* first is id 6"),
    ],
)
def test_faulty_columns_are_refused(ids, values, message):
    with pytest.raises(InputError, match=message):
        ScoreTable(ids, values, True)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"sample_id": [1]}, "no column 'value'"),
        ({"sample_id": [1.5], "value": [1.0]}, "'sample_id' is double"),
        ({"sample_id": [1], "value": ["a"]}, "'value' is .*string.* must be numbers"),
        ({"sample_id": [1], "value": [None]}, "'value' is null|NaN"),
        ({"sample_id": [1, None], "value": [1.0, 2.0]}, "1 nulls"),
        ({"sample_id": [1], "value": [1.0], "source": ["guessed"]}, "not 'guessed'"),
    ],
)
def test_faulty_files_are_refused_by_name(tmp_path, columns, message):
    path = tmp_path / "bad.parquet"
    pq.write_table(pa.table(columns), path)
    with pytest.raises(InputError, match=message) as caught:
        ScoreTable.from_parquet(path)
    assert "bad.parquet" in str(caught.value)


def test_truncated_and_foreign_files_are_refused(tmp_path):
    good, cut, text = tmp_path / "good", tmp_path / "cut", tmp_path / "text"
    ScoreTable(range(100), np.ones(100), True).to_parquet(good)
    cut.write_bytes(good.read_bytes()[:-40])
    text.write_text("sample_id,value\n1,2\n")
    for path in (cut, text, tmp_path / "absent", tmp_path):
        with pytest.raises(InputError, match=str(path)):
            ScoreTable.from_parquet(path)


def test_tables_of_different_data_sets_do_not_mix():
    first = ScoreTable([1], [1.0], True, None, {"fingerprint": "aa"})
    other = ScoreTable([1], [1.0], True, None, {"fingerprint": "bb"})
    unknown = ScoreTable([1], [1.0], True)
    first.require_same_data(unknown)
    with pytest.raises(InputError, match="different data sets"):
        first.require_same_data(other)


def test_rows_of_names_the_first_absent_id():
    table = ScoreTable([2, 4, 6], [0.0, 1.0, 2.0], True)
    assert table.rows_of(np.array([6, 2]), "x").tolist() == [2, 0]
    with pytest.raises(InputError, match="2 of 3 ids .* first is 5"):
        table.rows_of(np.array([4, 5, 9]), "x")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"ids": [0.5, 1.7]}, "ids are float64; give integers"),
        ({"measured": "predicted"}, "give True or False"),
        ({"measured": [True]}, "2 ids but 1 measured"),
        ({"std": [float("nan"), 1.0]}, "std holds NaN"),
        ({"std": [-1.0, 1.0]}, "negative"),
    ],
)
def test_what_is_no_table_is_refused(change, message):
    with pytest.raises(InputError, match=message):
        ScoreTable(**{"ids": [4, 9], "values": [0.0, 1.0], "measured": True, **change})


def test_tables_can_be_compared_and_hashed():
    table = ScoreTable([4, 9], [0.0, 1.0], True)
    assert table == table
    assert table != ScoreTable([4, 9], [0.0, 1.0], True)
    assert len({table, table}) == 1
