"""Score tables and selections go to other tools and come back as they were."""

import builtins
import datetime
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from safetensors.numpy import save_file
from torch.utils.data import TensorDataset

from graphprune.embed.precomputed import read_embeddings
from graphprune.errors import InputError
from graphprune.interchange import frames as ic
from graphprune.select.base import Selection
from graphprune.table import ScoreTable

MEASURED = np.array([True, False, False, True])


@pytest.fixture
def table():
    std = np.array([0, 0.5, 0.25, 0], np.float32)
    return ScoreTable(
        [3, 0, 9, 4], [0.3, 0.1, 0.9, 0.4], MEASURED, std, {"score": "tdds", "fingerprint": "ab"}
    )


def same(a: ScoreTable, b: ScoreTable) -> bool:
    std = (a.std is None) == (b.std is None) and (a.std is None or np.array_equal(a.std, b.std))
    return std and all(np.array_equal(getattr(a, n), getattr(b, n)) for n in ("ids", "values", "measured"))


@pytest.mark.parametrize("library", ["pandas", "polars"])
@pytest.mark.parametrize("with_std", [True, False])
def test_frames_round_trip_in_any_order_of_rows(table, library, with_std):
    pytest.importorskip(library)
    table = table if with_std else ScoreTable(table.ids, table.values, table.measured, None, table.metadata)
    frame = getattr(ic, f"to_{library}")(table)
    assert list(frame.columns) == ["sample_id", "value", "std", "source"]
    assert frame["source"].to_list() == ["predicted", "measured", "measured", "predicted"]
    assert same(getattr(ic, f"from_{library}")(frame[::-1]), table)
    if library == "pandas":
        assert ic.from_pandas(frame).metadata["fingerprint"] == "ab"


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_a_frame_with_a_fault_is_refused(library):
    frames = pytest.importorskip(library)
    read = getattr(ic, f"from_{library}")
    with pytest.raises(InputError, match="no column 'value'"):
        read(frames.DataFrame({"sample_id": [1]}))
    with pytest.raises(InputError, match="more than once"):
        read(frames.DataFrame({"sample_id": [1, 1], "value": [0.5, 0.5]}))


def test_duckdb_joins_tables_with_files(table, tmp_path):
    pytest.importorskip("duckdb")
    table.to_parquet(tmp_path / "P.parquet")
    labels = pa.table({"sample_id": [0, 3, 4, 9], "label": ["a", "b", "a", "b"]})
    sql = f"""SELECT label, max(value) AS best FROM '{tmp_path}/P.parquet' JOIN labels USING (sample_id)
              GROUP BY label ORDER BY label"""
    found = ic.query(sql, labels=labels).to_pydict()
    assert found["label"] == ["a", "b"]
    assert found["best"] == pytest.approx([0.4, 0.9])
    assert ic.query("SELECT count(*) AS n FROM t WHERE source = 'measured'", t=table).to_pydict() == {
        "n": [2]
    }
    with pytest.raises(InputError, match="absent"):
        ic.query("SELECT * FROM absent")
    assert ic.query("").num_rows == 0


def test_columns_and_rows_of_hugging_face_datasets():
    datasets = pytest.importorskip("datasets")
    data = datasets.Dataset.from_dict({"text": list("abcd"), "key": [7, 5, 3, 1]})
    table = ScoreTable([2, 0, 3, 1], [0.2, 0.0, 0.3, 0.1], True)
    scored = ic.add_scores(data, table)
    assert scored["score"][:] == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert same(ic.from_dataset(scored), table)
    assert ic.from_dataset(scored, ids="key").ids.tolist() == [1, 3, 5, 7]
    kept = Selection(np.array([1, 7]), np.ones(2, np.float32))
    assert ic.as_dataset(kept, data, ids=np.array([7, 5, 3, 1]))["text"][:] == ["d", "a"]
    with pytest.raises(InputError, match="already"):
        ic.add_scores(scored, table)
    with pytest.raises(InputError, match="no column 'loss'"):
        ic.from_dataset(data, column="loss")
    with pytest.raises(InputError, match="3 scores for a data set of 4"):
        ic.add_scores(data, ScoreTable([0, 1, 2], [0, 0, 0], True))


def test_a_selection_is_a_subset_and_a_text_file(tmp_path):
    data = TensorDataset(torch.arange(10) * 10)
    kept = Selection(np.array([2, 5]), np.ones(2, np.float32))
    assert [int(x) for (x,) in ic.as_subset(kept, data)] == [20, 50]
    backwards = np.arange(10)[::-1].copy()
    assert [int(x) for (x,) in ic.as_subset(kept, data, ids=backwards)] == [70, 40]
    with pytest.raises(InputError, match="first is 5"):
        ic.as_subset(kept, TensorDataset(torch.arange(4)))
    ic.write_ids(kept, tmp_path / "k.txt")
    assert (tmp_path / "k.txt").read_text() == "2\n5\n"
    assert ic.read_ids(tmp_path / "k.txt").ids.tolist() == [2, 5]
    for wrong, word in (
        ("2\nx\n", "line 2 is .x.; every line must be one integer"),
        ("2\n2\n", "without duplicates"),
        ("", "so no sample is kept"),
    ):
        (tmp_path / "w.txt").write_text(wrong)
        with pytest.raises(InputError, match=word):
            ic.read_ids(tmp_path / "w.txt")


def test_select_writes_and_train_reads_a_text_file(run, files):
    code, _, err = run("select", files / "TRUTH.parquet", "--keep", 0.1, "--rule", "top",
                         "--out", files / "k.txt", "--json")  # fmt: skip
    assert code == 0, err
    assert len((files / "k.txt").read_text().split()) == 12


def test_embeddings_in_three_formats_are_the_same(tmp_path):
    x = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
    np.save(tmp_path / "e.npy", x)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), 3)
    pq.write_table(
        pa.table({"sample_id": range(6), "vec": vectors}), tmp_path / "e.parquet", row_group_size=4
    )
    save_file({"other": x[0], "embeddings": x}, tmp_path / "e.safetensors")
    for suffix in ("npy", "parquet", "safetensors"):
        found = read_embeddings(tmp_path / f"e.{suffix}", 6)
        assert found.dtype == np.float32
        assert np.array_equal(found, x)
    with pytest.raises(InputError, match="6 rows but the data has 7"):
        read_embeddings(tmp_path / "e.parquet", 7)


def test_embeddings_whose_rows_cannot_be_told_are_refused(tmp_path):
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(6, dtype=np.float32)), 3)
    pq.write_table(pa.table({"sample_id": [4, 2], "v": vectors}), tmp_path / "a.parquet")
    with pytest.raises(InputError, match="is not ascending"):
        read_embeddings(tmp_path / "a.parquet")
    pq.write_table(pa.table({"v": vectors, "w": vectors}), tmp_path / "b.parquet")
    with pytest.raises(InputError, match="one named 'embeddings'"):
        read_embeddings(tmp_path / "b.parquet")
    torch_file = tmp_path / "h.safetensors"
    from safetensors.torch import save_file as save_torch

    save_torch({"x": torch.ones(2, 3, dtype=torch.bfloat16)}, torch_file)
    assert read_embeddings(torch_file).dtype == np.float32


@pytest.mark.parametrize(
    ("package", "call"),
    [("pandas", ic.to_pandas), ("polars", ic.to_polars), ("duckdb", lambda t: ic.query("SELECT 1"))],
)
def test_an_absent_library_is_named_with_what_installs_it(table, monkeypatch, package, call):
    real = builtins.__import__

    def absent(name, *rest, **more):
        if name.split(".")[0] == package:
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(builtins, "__import__", absent)
    with pytest.raises(InputError, match=rf"{package} is not installed; .*graphprune\[interchange\]"):
        call(table)


def test_a_frame_with_foreign_attrs_can_be_written(tmp_path):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"sample_id": [0, 1], "value": [0.1, 0.2]})
    frame.attrs = {"made": datetime.date(2024, 1, 1)}
    ic.from_pandas(frame).to_parquet(tmp_path / "x.parquet")
    assert ScoreTable.from_parquet(tmp_path / "x.parquet").metadata["made"] == "2024-01-01"


@pytest.mark.parametrize("library", ["pandas", "polars", "datasets"])
def test_scores_from_everywhere_keep_their_order_and_refuse_other_ids(library):
    package = pytest.importorskip(library)
    close = (1 - 1e-9 * np.arange(200)[::-1]).tolist()

    def read(ids):
        columns = {"sample_id": ids, "value": close[: len(ids)]}
        if library == "datasets":
            return ic.from_dataset(package.Dataset.from_dict(columns), column="value", ids="sample_id")
        return getattr(ic, f"from_{library}")(package.DataFrame(columns))

    assert read(list(range(200))).values.tolist() == close
    for ids in ([10.5, 11.5], [10.0, 11.0], ["a", "b"], [True, False], [1, None]):
        with pytest.raises(InputError, match="column 'sample_id' is .*; it must be integers"):
            read(ids)
    with pytest.raises(InputError, match="more than once"):
        read([1, 1])


def test_ids_of_a_data_set_are_checked():
    kept = Selection(np.array([1]), np.ones(1, np.float32))
    data = TensorDataset(torch.arange(2))
    for ids, message in (
        ([0.5, 1.5], "give integers"),
        ([1, 1], "more than once"),
        ([1], "1 ids for a data set of 2"),
    ):
        with pytest.raises(InputError, match=message):
            ic.as_subset(kept, data, ids=np.array(ids))
