"""Nothing runs code from data, takes memory on a claim, writes outside its folder or asks the network."""

import ast
import io
import os
import pickle
import socket
import struct
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

import graphprune
from graphprune.config.load import load_config
from graphprune.data.images import load_npz
from graphprune.errors import InputError
from graphprune.files import read_npy, read_npz
from graphprune.jobs.pipeline import run
from graphprune.table import ScoreTable
from graphprune.train.checkpoint import Checkpoint

PACKAGE = Path(graphprune.__file__).parent
TINY = Path(__file__).parent / "tiny.yaml"
FORBIDDEN_MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}
FORBIDDEN_CALLS = {
    "eval",
    "exec",
    "yaml.load",
    "yaml.unsafe_load",
    "yaml.full_load",
    "os.system",
    "read_pickle",
}
NETWORK_MODULES = {"requests", "urllib.request", "http.client", "httpx", "aiohttp", "socket", "ftplib"}
# Keyword that a call must carry as a literal.
REQUIRED = {
    "torch.load": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "np.save": ("allow_pickle", False),
}


def name_of(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return f"{name_of(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def faults(source: str) -> list[str]:
    """What in the source could run code from data, or talk to the network."""
    found = []
    for node in ast.walk(ast.parse(source)):
        names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            if name.split(".")[0] in FORBIDDEN_MODULES or name in NETWORK_MODULES:
                found.append(f"{node.lineno}: import of {name}")
        if not isinstance(node, ast.Call):
            continue
        called = name_of(node.func)
        if called in FORBIDDEN_CALLS or called.endswith(".read_pickle"):
            found.append(f"{node.lineno}: call of {called}")
        keywords = {k.arg: getattr(k.value, "value", None) for k in node.keywords}
        if called in REQUIRED and keywords.get(REQUIRED[called][0]) is not REQUIRED[called][1]:
            found.append(f"{node.lineno}: {called} without {REQUIRED[called][0]}={REQUIRED[called][1]}")
        if keywords.get("shell") is True or keywords.get("trust_remote_code") is True:
            found.append(f"{node.lineno}: {called} runs a shell or remote code")
    return found


def test_no_pickle_shell_or_network_is_reachable_from_the_package():
    found = {
        str(path.relative_to(PACKAGE)): faults(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))
    }
    assert len(found) > 150
    assert {name: bad for name, bad in found.items() if bad} == {}


@pytest.mark.parametrize(
    "source",
    ["import pickle", "from joblib import load", "torch.load(p)", "np.load(p, allow_pickle=True)", "yaml.load(t)",
     "np.save(p, a)", "pd.read_pickle(p)", "subprocess.run(c, shell=True)", "import requests", "eval(t)"],
)  # fmt: skip
def test_the_scan_sees_what_it_is_for(source):
    assert len(faults(source)) == 1


class Evil:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return os.mkdir, (str(self.path),)


def test_pickles_in_arrays_and_checkpoints_are_not_opened(tmp_path):
    owned = tmp_path / "owned"
    np.save(tmp_path / "a.npy", np.array([Evil(owned)], dtype=object), allow_pickle=True)
    np.savez(tmp_path / "a.npz", x=np.array([Evil(owned)], dtype=object), y=np.zeros(1, int))
    torch.save({"epoch": Evil(owned)}, tmp_path / "c.pt")
    (tmp_path / "plain.npy").write_bytes(pickle.dumps(Evil(owned)))
    for read, name in (
        (read_npy, "a.npy"),
        (read_npz, "a.npz"),
        (load_npz, "a.npz"),
        (read_npy, "plain.npy"),
    ):
        with pytest.raises(InputError):
            read(tmp_path / name)
    with pytest.warns(UserWarning, match="cannot be used"):
        assert Checkpoint(tmp_path / "c.pt").load() is None
    assert not owned.exists()


def header(shape: tuple[int, ...]) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array_header_1_0(buffer, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return buffer.getvalue()


def bomb(path: Path, *, claimed: int | None = None, shape: tuple[int, ...] = (4,)) -> Path:
    """An npz whose directory, or whose array's header, claims more than there is."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.npy", header(shape) + bytes(16))
    if claimed is not None:
        content = bytearray(path.read_bytes())
        at = content.rindex(b"PK\x01\x02") + 24
        content[at : at + 4] = struct.pack("<I", claimed)
        path.write_bytes(bytes(content))
    return path


def test_bombs_are_refused_before_memory_is_taken(tmp_path, monkeypatch):
    def taken(*_, **__):
        raise AssertionError("memory was taken")

    monkeypatch.setattr(np, "load", taken)
    with pytest.raises(InputError, match=r"claims 4\.0 GiB in a file of"):
        read_npz(bomb(tmp_path / "a.npz", claimed=2**32 - 1))
    with pytest.raises(InputError, match="header claims"):
        read_npz(bomb(tmp_path / "b.npz", shape=(2**50,)))
    (tmp_path / "c.npy").write_bytes(header((2**35, 2**10)) + bytes(64))
    with pytest.raises(InputError, match="header claims"):
        read_npy(tmp_path / "c.npy")
    (tmp_path / "d.npy").write_bytes(header((-(2**35),)) + bytes(64))
    with pytest.raises(InputError, match="header"):
        read_npy(tmp_path / "d.npy")


def test_many_equal_rows_in_few_bytes_of_parquet_are_refused(tmp_path, monkeypatch):
    n = 1_000_000
    pq.write_table(pa.table({"sample_id": np.zeros(n, int), "value": np.zeros(n)}), tmp_path / "p.parquet")
    monkeypatch.setattr("graphprune.files._LARGE_BYTES", 2**20)
    with pytest.raises(InputError, match="in a file of"):
        ScoreTable.from_parquet(tmp_path / "p.parquet")


def test_an_honest_file_that_compresses_well_is_read(tmp_path):
    np.savez_compressed(tmp_path / "z.npz", x=np.zeros((1000, 50), np.float32))
    assert read_npz(tmp_path / "z.npz")["x"].shape == (1000, 50)


def test_a_run_writes_only_to_its_folder_and_asks_no_network(tmp_path, monkeypatch):
    """Archive members and class names that look like paths are names; sockets are forbidden."""

    def forbidden(*arguments, **_):
        raise AssertionError(f"network: {arguments}")

    draws = np.random.default_rng(0)
    x = draws.normal(size=(120, 4)).astype(np.float32)
    np.savez(tmp_path / "D.npz", **{"x": x, "y": np.arange(120) % 3, "../../evil": x, "/tmp/evil": x})
    before = set(tmp_path.parent.rglob("*"))
    monkeypatch.chdir(tmp_path)
    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, forbidden)
    monkeypatch.setattr(socket, "getaddrinfo", forbidden)
    changes = ("data={kind: npz, path: D.npz}", "model={name: mlp}", "oracle=null", "extrapolators=[knn, ridge]",
               "arms.0.extrapolator=ridge", "training.random_states=[0]", "graph.k=5")  # fmt: skip
    run(load_config(TINY, changes), tmp_path / "run")
    made = set(tmp_path.parent.rglob("*")) - before
    assert made
    assert all(path.is_relative_to(tmp_path / "run") for path in made)
    page = (tmp_path / "run/report.html").read_text()
    assert "default-src 'none'" in page
