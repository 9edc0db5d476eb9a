"""Score tables: order, identity, files."""

import datetime

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphprune.errors import InputError
from graphprune.registry import create
from graphprune.select.base import Selection
from graphprune.table import ScoreTable, float32_scores, locate


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
        ({"std": [float("nan"), 1.0]}, "std contains NaN"),
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


CLOSE = 1 - 1e-9 * np.arange(200)[::-1]


@pytest.mark.parametrize(
    "values",
    [
        CLOSE,
        1e-50 * (1 + np.arange(200)),
        2.0**24 + np.arange(200),
        2**53 - 200 + np.arange(200),
        1e39 * (1 + np.arange(200)),
        np.arange(200, dtype=np.uint8),
    ],
)
def test_scores_keep_the_order_that_float64_shows(values, tmp_path):
    ScoreTable(np.arange(200), values, True).to_parquet(tmp_path / "s.parquet")
    pq.write_table(pa.table({"sample_id": range(200), "value": values}), tmp_path / "foreign.parquet")
    for name in ("s", "foreign"):
        table = ScoreTable.from_parquet(tmp_path / f"{name}.parquet")
        assert table.values.tolist() == np.asarray(values, dtype=np.float64).tolist()
        for rule in ("top", "window", "ccs"):
            options = {} if rule == "top" else {"drop_hardest": 0.0}
            kept = create("selection", rule, **options).select(table, 0.05)
            assert len(kept) == 10
            if rule != "ccs":
                assert kept.ids.tolist() == list(range(190, 200))


def test_what_float32_holds_exactly_is_stored_as_float32():
    assert ScoreTable([0, 1], [0.5, 3.0], True).values.dtype == np.float32
    assert ScoreTable([0, 1], np.array([0.1, 0.2], np.float32), True, [0.5, 0.0]).std.dtype == np.float32
    table = ScoreTable([0, 1], [0.1, 3.0], True, [0.1, 0.0])
    assert table.values.dtype == table.std.dtype == np.float64


def test_extrapolators_refuse_scores_that_float32_cannot_tell_apart():
    assert float32_scores(np.linspace(0, 1, 1000), "seed scores").dtype == np.float32
    for values in (CLOSE, 1e39 * CLOSE, 1e-50 * CLOSE):
        with pytest.raises(
            InputError, match="can distinguish only .* of 200 distinct scores; subtract their mean"
        ):
            float32_scores(values, "seed scores")


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        ([0.0, 1.0], "float64; give integers"),
        (["0", "1"], "give integers"),
        ([True, False], "bool; give integers"),
        (np.array([0, 2**63], np.uint64), "9223372036854775808, which does not fit int64"),
        ([0, 2**70], "object; give integers"),
        ([0, None], "object; give integers"),
        ([[0], [1]], r"shape \[2, 1\]"),
        ([[0], [1, 2]], "cannot be read as an array"),
        (np.ma.array([0, 1], mask=[False, True]), "masked"),
        (np.array(["2024-01-01", "2024-01-02"], dtype="datetime64[D]"), "datetime64"),
        (5, r"shape \[\]"),
    ],
)
def test_ids_are_int64_or_refused_at_every_entrance(ids, message):
    with pytest.raises(InputError, match=message):
        ScoreTable(ids, [0.0, 1.0], True)
    with pytest.raises(InputError, match=message):
        Selection(ids, np.ones(2, np.float32))
    with pytest.raises(InputError, match=message):
        locate(np.arange(2), ids, "seeds")
    with pytest.raises(InputError, match=message):
        locate(ids, np.arange(2), "seeds")


@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.int64, np.uint64])
def test_integer_ids_become_int64(kind):
    assert ScoreTable(np.array([3, 1], kind), [0.0, 1.0], True).ids.tolist() == [1, 3]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([True, False], "bool; give numbers"),
        (["a", "b"], "give numbers"),
        ([1e71, 0.0], "beyond 1e[+]70; rescale"),
        (np.array([2**53 + 1, 0]), "more digits than float64 can store"),
        ([[0.0, 1.0]], r"shape \[1, 2\]"),
        (np.array([0, np.inf]), "NaN or infinite"),
    ],
)
def test_what_is_no_score_is_refused(values, message):
    with pytest.raises(InputError, match=message):
        ScoreTable([0, 1], values, True)


def test_integers_beyond_float64_in_a_file_are_refused(tmp_path):
    pq.write_table(pa.table({"sample_id": [0], "value": [2**53 + 1]}), tmp_path / "v.parquet")
    pq.write_table(
        pa.table({"sample_id": pa.array([2**63], pa.uint64()), "value": [1.0]}), tmp_path / "i.parquet"
    )
    with pytest.raises(InputError, match="v.parquet: column 'value' contains integers that float64"):
        ScoreTable.from_parquet(tmp_path / "v.parquet")
    with pytest.raises(InputError, match="i.parquet: column 'sample_id' does not fit"):
        ScoreTable.from_parquet(tmp_path / "i.parquet")


def test_metadata_that_json_does_not_know_become_text(tmp_path):
    loop = []
    loop.append(loop)
    metadata = {
        "made": datetime.date(2024, 1, 1),
        ("a", 1): {2: np.arange(2)},
        "loop": loop,
        "fingerprint": "ab",
    }
    for table in (ScoreTable([0], [1.0], True, None, metadata), Selection([0], [1.0], metadata)):
        table.to_parquet(tmp_path / "t.parquet")
        read = type(table).from_parquet(tmp_path / "t.parquet").metadata
        assert {name: read[name] for name in table.metadata} == table.metadata
        assert table.metadata == {
            "made": "2024-01-01",
            "('a', 1)": {"2": "[0 1]"},
            "loop": "<list>",
            "fingerprint": "ab",
        }


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0, float("nan")], "finite and not negative"),
        ([1.0, 1e39], "finite and not negative"),
        ([1.0, -1.0], "finite and not negative"),
        ([0.0, 0.0], "all weights are 0"),
        ([1.0], "2 ids but 1 weights"),
        (["a", "b"], "give numbers"),
    ],
)
def test_weights_that_cannot_be_trained_with_are_refused(weights, message):
    with pytest.raises(InputError, match=message):
        Selection([0, 1], weights)
