"""The suffix of a file decides its format, for writing and for reading."""

import json

import numpy as np
import pytest

from graphprune.errors import InputError
from graphprune.evaluation.agreement import evaluate
from graphprune.interchange.files import (
    SCORES,
    SELECTIONS,
    read_scores,
    read_selection,
    write_scores,
    write_selection,
)
from graphprune.runtime.paths import check_out
from graphprune.select.base import Selection
from graphprune.table import ScoreTable

TABLE = ScoreTable([7, -3, 2**62], [0.1, 1 - 1e-12, 1e-50], [True, False, True], [0.0, 0.3, 0.0])
KEPT = Selection([2, 5], [1.0, 0.25])


@pytest.mark.parametrize("suffix", [*SCORES, ".CSV"])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_scores_come_back_with_every_digit(suffix, kind, tmp_path):
    table = ScoreTable(TABLE.ids, TABLE.values.astype(kind), TABLE.measured, TABLE.std)
    for written in (table, ScoreTable(table.ids, table.values, True)):
        write_scores(written, tmp_path / f"s{suffix}")
        read = read_scores(tmp_path / f"s{suffix}")
        for name in ("ids", "values", "measured"):
            assert getattr(read, name).tolist() == getattr(written, name).tolist()
        assert read.values.dtype == kind
        assert (read.std is None) if written.std is None else (read.std.tolist() == written.std.tolist())


def test_text_formats_are_what_other_tools_expect(tmp_path):
    table = ScoreTable([3, 1], [0.5, 0.25], [True, False], [0.0, 2.0])
    write_scores(table, tmp_path / "s.csv")
    assert (
        tmp_path / "s.csv"
    ).read_text() == "sample_id,value,std,source\n1,0.25,2,predicted\n3,0.5,0,measured\n"
    write_scores(table, tmp_path / "s.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "s.jsonl").read_text().splitlines()]
    assert rows[0] == {"sample_id": 1, "value": 0.25, "std": 2.0, "source": "predicted"}
    assert len(rows) == 2


@pytest.mark.parametrize("suffix", SELECTIONS)
def test_selections_come_back_with_their_weights_or_are_refused(suffix, tmp_path):
    path = tmp_path / f"k{suffix}"
    plain = Selection([2, 5], [1.0, 1.0])
    write_selection(plain, path)
    assert read_selection(path).ids.tolist() == [2, 5]
    assert read_selection(path).weights.tolist() == [1.0, 1.0]
    path.unlink()
    if suffix == ".txt":
        with pytest.raises(InputError, match="k.txt would lose the weights"):
            write_selection(KEPT, path)
        assert not path.exists()
    else:
        write_selection(KEPT, path)
        assert read_selection(path).weights.tolist() == [1.0, 0.25]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("s.csv", "sample_id,value\n1.0,2\n", "'sample_id' is double"),
        ("s.csv", "sample_id,value\n9223372036854775808,2\n", "'sample_id' is"),
        ("s.csv", "sample_id,value\n1,2\n1,3\n", "more than once"),
        ("s.csv", "sample_id,value\n1,\n2,3\n", "1 of 2 samples contain NaN"),
        ("s.csv", "sample_id,value\n1,2,3\n", "s.csv is not a readable CSV file"),
        ("s.csv", "sample_id;value\n1;2\n", "no column 'sample_id'"),
        ("s.csv", "", "s.csv is not a readable CSV file"),
        ("s.jsonl", '{"sample_id": true, "value": 1}\n', "'sample_id' is bool"),
        ("s.jsonl", '{"sample_id": 1}\n', "no column 'value'"),
        ("s.jsonl", "[1, 2]\n", "s.jsonl is not a readable JSON lines file"),
        ("s.tsv", "", r"suffix '.tsv'; .* reads .parquet, .csv or .jsonl"),
        ("s.txt", "1\n", "suffix '.txt'"),
    ],
)
def test_files_of_scores_that_cannot_be_used_are_refused(name, text, message, tmp_path):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_scores(tmp_path / name)
    assert name in str(caught.value)


@pytest.mark.parametrize("line", ["1_0", "+5", "2 3", "2.0", "9223372036854775808", "٣", "0x10"])
def test_a_line_that_is_not_one_id_is_refused(line, tmp_path):
    (tmp_path / "k.txt").write_text(f"1\n{line}\n", encoding="utf-8")
    with pytest.raises(InputError, match="k.txt: line 2 is .*; every line must be one integer id"):
        read_selection(tmp_path / "k.txt")


def test_an_output_that_would_be_wrong_is_refused_first(tmp_path):
    (tmp_path / "d.csv").mkdir()
    (tmp_path / "P.parquet").write_bytes(b"scores")
    for out, suffixes, message in (
        ("K", SCORES, "the suffix ''; .* writes .parquet, .csv or .jsonl"),
        ("K.pq", SELECTIONS, "writes .parquet, .csv, .jsonl or .txt"),
        ("E.txt", (".npy",), "writes .npy"),
        ("d.csv", SCORES, "is a folder"),
        ("G.npz", (), "this command writes a folder"),
        ("P.parquet", SELECTIONS, "overwrite this command's input"),
    ):
        with pytest.raises(InputError, match=message):
            check_out(tmp_path / out, suffixes, inputs=(tmp_path / "P.parquet", None))
    check_out(tmp_path / "graph.v2", ())
    check_out(tmp_path / "new/K.TXT", SELECTIONS)


def test_commands_refuse_a_suffix_before_they_read_anything(run, tmp_path):
    absent = tmp_path / "absent"
    for command in (
        ("score", "--trajectories", absent, "--score", "loss"),
        ("extrapolate", "--graph", absent, "--embeddings", absent, "--seeds", absent, "--method", "knn"),
        ("select", absent, "--keep", "0.5", "--rule", "top"),
    ):
        code, _, err = run(*command, "--out", tmp_path / "o.xlsx")
        assert code == 2
        assert "o.xlsx has the suffix '.xlsx'" in err
        assert not list(tmp_path.iterdir())


def test_commands_go_on_from_each_others_text_files(run, files, tmp_path):
    truth = ScoreTable.from_parquet(files / "TRUTH.parquet")
    predicted = ScoreTable(truth.ids, truth.values, False)
    for suffix in (".csv", ".jsonl"):
        write_scores(predicted, tmp_path / f"P{suffix}")
        code, out, err = run("evaluate", tmp_path / f"P{suffix}", files / "TRUTH.parquet", "--json")
        assert code == 0, err
        assert json.loads(out)["spearman"] == 1.0
        kept = tmp_path / f"K{suffix}"
        code, _, err = run("select", tmp_path / f"P{suffix}", "--keep", 0.1, "--rule", "top", "--out", kept)
        assert code == 0, err
        best = np.argsort(-truth.values, kind="stable")[: round(0.1 * len(truth))]
        assert read_selection(kept).ids.tolist() == np.sort(truth.ids[best]).tolist()


@pytest.mark.parametrize("scale", [2.0**-600, 2.0**-150, 2.0**200])
def test_the_size_of_scores_does_not_change_their_agreement(scale):
    draws = np.random.default_rng(0)
    predicted, truth = draws.random(50), draws.random(50)
    expected = evaluate(predicted, truth, n_bootstrap=20).to_dict()
    found = evaluate(predicted * scale, truth * scale, n_bootstrap=20).to_dict()
    for name in ("spearman", "pearson", "pearson_ci95", "kendall", "overlap"):
        assert found[name] == expected[name]
