"""Paths that users name: text, no input of the same command, no folder with other files."""

import shutil
from pathlib import Path

import pytest

from graphprune.config.load import load_config
from graphprune.data.images import load_npz
from graphprune.data.parquet import load_parquet
from graphprune.data.sensors import read_sensors
from graphprune.errors import InputError
from graphprune.files import read_json, read_npy, read_npz
from graphprune.interchange.files import read_scores, read_selection
from graphprune.jobs.pipeline import run as run_job
from graphprune.table import ScoreTable

TINY = Path(__file__).parent / "tiny.yaml"


def contents(folder: Path) -> dict[str, bytes]:
    """Every file by relative name."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_path_that_is_no_text_is_refused_by_every_command(run, files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    bad = "bad-\udcff"
    for arguments in (
        ("run", TINY, "--out", bad),
        ("run", bad),
        ("train", TINY, "--sampler", "rs2", "--out", bad),
        ("embed", TINY, "--out", bad),
        ("graph", "--embeddings", files / "E.npy", "--out", bad),
        ("select", files / "TRUTH.parquet", "--keep", "0.5", "--rule", "top", "--out", bad),
        ("report", bad),
    ):
        code, _, err = run(*arguments)
        assert (code, err.count("\n")) == (2, 1)
        assert r"'bad-\udcff' is not valid UTF-8 text" in err
    for out in (bad, "null\0character"):
        with pytest.raises(InputError, match="is not valid UTF-8 text"):
            run_job(load_config(TINY), out)
    assert list(tmp_path.iterdir()) == [files]


def test_a_graph_goes_to_a_new_or_empty_folder_or_over_a_graph(run, files):
    out = files / "G"
    command = ("graph", "--embeddings", files / "E.npy", "--k", "5", "--out", out)
    out.mkdir()
    (out / "indices.npy").write_text("mine")
    code, _, err = run(*command)
    assert (code, err.count("\n")) == (2, 1)
    assert "holds files that are not a graph of graphprune" in err
    (out / "graph.json").write_text('{"k": 3}')
    assert run(*command)[0] == 2
    assert (out / "indices.npy").read_text() == "mine"
    shutil.rmtree(out)
    assert run(*command)[0] == 0
    (out / "notes").write_text("mine")
    first = contents(out)
    assert run(*command)[0] == 0
    assert contents(out) == first


def test_no_command_writes_over_its_own_input(run, files):
    f = files
    assert run("graph", "--embeddings", f / "E.npy", "--k", "5", "--out", f / "G")[0] == 0
    shutil.copy(TINY, f / "job.yaml")
    before = contents(f)
    fit = (
        "extrapolate",
        "--graph",
        f / "G",
        "--embeddings",
        f / "E.npy",
        "--seeds",
        f / "S.parquet",
        "--method",
        "knn",
    )
    embed = ("embed", f / "job.yaml", "--set", f"embedding={{source: file, path: '{f / 'E.npy'}'}}")
    for *command, out in (
        ("score", "--trajectories", f / "T.npz", "--score", "aum", f / "T.npz"),
        (*fit, f / "S.parquet"),
        (*fit, "--labels", f / "Y.npy", f / "Y.npy"),
        ("select", f / "TRUTH.parquet", "--keep", "0.5", "--rule", "top", f / "TRUTH.parquet"),
        ("select", f / "TRUTH.parquet", "--keep", "0.5", "--rule", "top", f / "G/../TRUTH.parquet"),
        (*embed, f / "job.yaml"),
        (*embed, f / "E.npy"),
    ):
        code, _, err = run(*command, "--out", out)
        assert (code, err.count("\n")) == (2, 1), err
        assert "would overwrite this command's input" in err
    assert run("select", f / "TRUTH.parquet", "--keep", "0.5", "--rule", "top", "--out", f)[0] == 2
    assert contents(f) == before


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("a.yaml", load_config),
        ("a.json", read_json),
        ("a.npy", read_npy),
        ("a.npz", read_npz),
        ("a.npz", load_npz),
        ("a.npz", read_sensors),
        ("a.parquet", ScoreTable.from_parquet),
        ("a.parquet", load_parquet),
        ("a.csv", read_scores),
        ("a.jsonl", read_scores),
        ("a.txt", read_selection),
        ("a.csv", read_sensors),
        ("a.h5", read_sensors),
    ],
)
def test_a_missing_file_is_reported_as_missing_and_nothing_else(tmp_path, name, read):
    with pytest.raises(InputError) as caught:
        read(tmp_path / name)
    assert str(caught.value) == f"{tmp_path / name} does not exist; check the path"
