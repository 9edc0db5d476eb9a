"""Embeddings in Parquet files as other tools write them, matched by id."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from graphprune.embed.precomputed import read_embeddings, stored_ids
from graphprune.errors import InputError

X = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
LISTS = {
    "list": pa.array(X.tolist(), pa.list_(pa.float32())),
    "large list": pa.array(X.tolist(), pa.large_list(pa.float32())),
    "fixed": pa.array(X.tolist(), pa.list_(pa.float32(), 3)),
    "chunked": pa.chunked_array([pa.array(part.tolist(), pa.list_(pa.float32())) for part in (X[:4], X[4:])]),
    "slice": pa.array([[1.0, 2.0], *X.tolist()], pa.list_(pa.float32()))[1:],
    "half": pa.array(X.astype(np.float16).tolist(), pa.list_(pa.float16())),
}  # fmt: skip


def write(path, ids=None, name="sample_id", vectors=LISTS["list"]):
    columns = {"text": ["a"] * len(vectors), "embedding": vectors}
    if ids is not None:
        columns[name] = ids
    pq.write_table(pa.table(columns), path, row_group_size=4)
    return path


@pytest.mark.parametrize("kind", LISTS)
def test_lists_of_one_length_are_read(tmp_path, kind):
    found = read_embeddings(write(tmp_path / "e.parquet", vectors=LISTS[kind]), 6)
    assert found.dtype == (np.float16 if kind == "half" else np.float32)
    assert np.array_equal(found, X.astype(found.dtype))


def test_a_pandas_frame_is_read(tmp_path):
    pandas = pytest.importorskip("pandas", reason="pandas is absent")
    pandas.DataFrame({"sample_id": range(6), "embedding": list(X)}).to_parquet(tmp_path / "e.parquet")
    assert np.array_equal(read_embeddings(tmp_path / "e.parquet", 6), X)


@pytest.mark.parametrize("name", ["sample_id", "ids", "id"])
def test_rows_are_matched_by_id(tmp_path, name):
    path = write(tmp_path / "e.parquet", [50, 10, 20, 30, 60, 40], name)
    found = read_embeddings(path, ids=np.array([10, 30, 40, 50]))
    assert np.array_equal(found, X[[1, 3, 5, 0]])
    assert stored_ids(path).tolist() == [50, 10, 20, 30, 60, 40]
    with pytest.raises(InputError, match=r"e\.parquet: ids of the data: 1 of 2 ids .* the first is 11"):
        read_embeddings(path, ids=np.array([10, 11]))
    with pytest.raises(InputError, match="is not ascending"):
        read_embeddings(path)


def test_files_without_ids_are_read_by_position(tmp_path):
    path = write(tmp_path / "e.parquet")
    assert np.array_equal(read_embeddings(path, ids=np.arange(6) * 7), X)
    assert stored_ids(path) is None
    with pytest.raises(InputError, match="6 rows but the data has 5 samples"):
        read_embeddings(path, ids=np.arange(5))


@pytest.mark.parametrize(
    ("vectors", "said"),
    [
        (
            pa.array([[1.0], [1.0], [1.0, 2.0]], pa.list_(pa.float32())),
            "has 2 values in row 2 but 1 in row 0",
        ),
        (pa.array([[1.0], None], pa.list_(pa.float32())), "has null values"),
        (pa.array([[1.0], [None]], pa.list_(pa.float32())), "has null values"),
        (pa.array([[1.0], [2.0]]), r"float64 \[2, 1\]; .*astype"),
        (pa.array([[1], [2]]), "contains int64; embeddings must be float16 or float32"),
        (pa.array([["a"], ["b"]]), "contains string"),
        (pa.array([[], []], pa.list_(pa.float32())), r"float32 \[2, 0\]"),
        (pa.array([], pa.list_(pa.float32())), r"float32 \[0, 0\]"),
        (pa.array([1.0, 2.0]), "must contain one column of lists of numbers"),
    ],
)
def test_other_columns_are_refused(tmp_path, vectors, said):
    with pytest.raises(InputError, match=said):
        read_embeddings(write(tmp_path / "e.parquet", vectors=vectors))


@pytest.mark.parametrize(
    ("ids", "said"),
    [([1, 1, 2, 3, 4, 5], "the id column has duplicate ids"), ([1, 2, 3, 4, 5, None], "1 nulls"),
     ([0.5] * 6, "must be integers")],
)  # fmt: skip
def test_invalid_ids_are_refused(tmp_path, ids, said):
    with pytest.raises(InputError, match=said):
        read_embeddings(write(tmp_path / "e.parquet", ids))


def test_the_commands_keep_the_ids_of_the_file(run, tmp_path, files):
    from graphprune.table import ScoreTable

    n = 120
    vectors = np.load(files / "E.npy")
    columns = {
        "sample_id": np.arange(n) * 10,
        "embedding": pa.array(vectors.tolist(), pa.list_(pa.float32())),
    }
    pq.write_table(pa.table(columns), files / "E.parquet")
    seeds = np.arange(0, n, 3)
    ScoreTable(seeds * 10, vectors[seeds, 0], True).to_parquet(files / "S10.parquet")
    code, _, err = run("graph", "--embeddings", files / "E.parquet", "--k", 5, "--out", files / "G")
    assert code == 0, err
    given = ("--graph", files / "G", "--embeddings", files / "E.parquet", "--seeds", files / "S10.parquet")
    code, _, err = run("extrapolate", *given, "--method", "knn", "--out", files / "P.parquet")
    assert code == 0, err
    assert ScoreTable.from_parquet(files / "P.parquet").ids.tolist() == (np.arange(n) * 10).tolist()
    np.save(files / "I.npy", np.arange(n))
    code, _, err = run(
        "extrapolate", *given, "--ids", files / "I.npy", "--method", "knn", "--out", files / "Q.parquet"
    )
    assert code == 2
    assert "hold different ids" in err
