"""Local data are read without any socket, and nothing is written outside the run folder."""

import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from graphprune.config.data import DataConfig

SCRIPT = """
import socket, sys
from pathlib import Path

def forbidden(*arguments, **_):
    raise SystemExit(f"network: {arguments}")

for name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, name, forbidden)
for name in ("getaddrinfo", "gethostbyname", "create_connection"):
    setattr(socket, name, forbidden)

from graphprune.config.load import parse_config
from graphprune.data.load import load_data

data = load_data(parse_config({"name": "x", "data": eval(sys.argv[1])}).data)
assert "datasets" not in sys.modules, "Hugging Face datasets was imported"
print(len(data.train), len(data.test))
"""


def png(level) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (4, 4), level).save(buffer, "PNG")
    return buffer.getvalue()


def prepare(root: Path) -> dict[str, dict]:
    x, y = np.random.default_rng(0).random((40, 2), dtype=np.float32), np.arange(40) % 2
    np.savez(root / "d.npz", x=x, y=y)
    np.savez(root / "s.npz", values=np.random.default_rng(0).random((200, 2)))
    pq.write_table(pa.table({"image": [png(i) for i in range(40)], "label": y}), root / "d.parquet")
    for i in range(40):
        (root / "images" / "ab"[i % 2]).mkdir(parents=True, exist_ok=True)
        (root / "images" / "ab"[i % 2] / f"{i}.png").write_bytes(png(i))
    return {
        "sklearn": {"name": "iris"},
        "npz": {"path": f"{root}/d.npz"},
        "parquet": {"path": f"{root}/d.parquet", "test_path": f"{root}/d.parquet"},
        "imagefolder": {"path": f"{root}/images", "test_path": f"{root}/images"},
        "sensors": {"path": f"{root}/s.npz", "steps_per_day": 24, "window": 4, "horizon": 2},
    }


KINDS = ("sklearn", "npz", "parquet", "imagefolder", "sensors")


def test_every_kind_is_local_but_hub_and_object():
    kinds = {part.model_fields["kind"].annotation.__args__[0] for part in DataConfig.__origin__.__args__}
    assert kinds == {*KINDS, "hub", "object"}


@pytest.mark.parametrize("kind", KINDS)
def test_no_socket_no_home_no_cache(tmp_path, kind):
    (tmp_path / "in").mkdir()
    config = {"kind": kind, **prepare(tmp_path / "in")[kind]}
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    home = {"HOME": "/nonexistent", "XDG_CACHE_HOME": "/nonexistent/cache", "HF_HOME": "/nonexistent/hf"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, repr(config)],
        cwd=tmp_path, env={**os.environ, **home, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    train, test = map(int, done.stdout.split())
    assert min(train, test) > 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    assert not Path("/nonexistent").exists()
