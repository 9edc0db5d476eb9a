"""Readers and config under random bytes and values: an answer or an `InputError`, never another exception."""

import contextlib
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from graphprune.config.load import load_config, parse_config
from graphprune.data.images import load_npz
from graphprune.data.sensors import read_sensors
from graphprune.embed.precomputed import read_embeddings
from graphprune.errors import InputError
from graphprune.files import read_json, read_npy, read_npz
from graphprune.graph.knn import KNNGraph
from graphprune.select.base import Selection
from graphprune.table import ScoreTable

DIGITS = Path(__file__).parents[1] / "configs/digits.yaml"
# `make fuzz` asks for many more.
EXAMPLES = int(os.environ.get("GRAPHPRUNE_FUZZ", "30"))
fuzzed = settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])


def _npy() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.arange(12, dtype=np.float32).reshape(6, 2))
    return buffer.getvalue()


def _npz() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, x=np.zeros((6, 2), np.float32), y=np.arange(6) % 2, values=np.zeros((6, 2)))
    return buffer.getvalue()


def _parquet() -> bytes:
    buffer = io.BytesIO()
    pq.write_table(pa.table({"sample_id": [1, 2], "value": [0.5, 0.25], "weight": [1.0, 1.0]}), buffer)
    return buffer.getvalue()


def _lists() -> bytes:
    buffer = io.BytesIO()
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(np.arange(8, dtype=np.float32)), 2)
    pq.write_table(pa.table({"sample_id": [1, 2, 3, 4], "embedding": vectors}), buffer)
    return buffer.getvalue()


READERS = {
    "npy": (_npy(), ".npy", lambda path: read_npy(path)),
    "mapped npy": (_npy(), ".npy", lambda path: read_npy(path, mmap=True)),
    "embeddings": (_npy(), ".npy", read_embeddings),
    "embeddings in parquet": (_lists(), ".parquet", read_embeddings),
    "embeddings in safetensors": (save({"e": np.ones((4, 2), np.float32)}), ".safetensors", read_embeddings),
    "npz": (_npz(), ".npz", read_npz),
    "npz data": (_npz(), ".npz", load_npz),
    "sensors npy": (_npy(), ".npy", lambda path: read_sensors(path, steps_per_day=24)),
    "sensors npz": (_npz(), ".npz", lambda path: read_sensors(path, steps_per_day=24)),
    "sensors csv": (b"time,a,b\n2024-01-01,1,2\n2024-01-02,3,4\n", ".csv", read_sensors),
    "score table": (_parquet(), ".parquet", ScoreTable.from_parquet),
    "selection": (_parquet(), ".parquet", Selection.from_parquet),
    "json": (b'{"a": [1, 2]}', ".json", read_json),
    "config": (DIGITS.read_bytes(), ".yaml", load_config),
}
damages = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.floats(0, 1), st.integers(0, 255)),
        st.tuples(st.just("cut"), st.floats(0, 1), st.just(0)),
        st.tuples(st.just("add"), st.floats(0, 1), st.binary(min_size=1, max_size=8)),
    ),
    min_size=1,
    max_size=4,
)


def damaged(content: bytes, steps) -> bytes:
    for kind, place, value in steps:
        at = min(int(place * len(content)), max(len(content) - 1, 0))
        if kind == "cut":
            content = content[:at]
        elif kind == "add":
            content = content[:at] + value + content[at:]
        elif content:
            content = content[:at] + bytes([value]) + content[at + 1 :]
    return content


@pytest.mark.parametrize("reader", READERS)
@fuzzed
@given(steps=damages)
def test_a_damaged_file_is_read_or_refused(reader, tmp_path, steps):
    content, suffix, read = READERS[reader]
    path = tmp_path / f"D{suffix}"
    path.write_bytes(damaged(content, steps))
    said = ""
    try:
        read(path)
    except InputError as error:
        said = str(error)
    assert len(said) < 2000


@pytest.mark.parametrize("reader", READERS)
@fuzzed
@given(content=st.binary(max_size=300))
def test_random_bytes_are_read_or_refused(reader, tmp_path, content):
    _, suffix, read = READERS[reader]
    path = tmp_path / f"D{suffix}"
    path.write_bytes(content)
    with contextlib.suppress(InputError):
        read(path)


scalars = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=6))
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
)


@fuzzed
@given(data=st.data(), value=values)
def test_any_value_in_any_place_of_a_config_is_taken_or_refused(data, value):
    raw = yaml.safe_load(DIGITS.read_text())
    node = raw
    while True:
        key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        if isinstance(node[key], dict | list) and node[key] and data.draw(st.booleans()):
            node = node[key]
        else:
            node[key] = value
            break
    said = "config: "
    try:
        parse_config(raw)
    except InputError as error:
        said = str(error)
    assert said.startswith("config: ")


@fuzzed
@given(
    override=st.text(max_size=20)
    | st.builds(lambda k, v: f"{k}={v}", st.text("abcds.01", max_size=9), st.text(max_size=8))
)
def test_any_override_is_taken_or_refused(override):
    with contextlib.suppress(InputError):
        load_config(DIGITS, [override])


@fuzzed
@given(
    indices=st.lists(st.lists(st.integers(-3, 9), min_size=2, max_size=2), min_size=1, max_size=4),
    facts=values,
)
def test_any_graph_folder_is_read_or_refused(tmp_path, indices, facts):
    import json

    np.save(tmp_path / "indices.npy", np.array(indices))
    np.save(tmp_path / "distances.npy", np.zeros((len(indices), 2), np.float32))
    (tmp_path / "graph.json").write_text(json.dumps(facts))
    with contextlib.suppress(InputError):
        assert KNNGraph.load(tmp_path).n == len(indices)


def test_the_damage_reaches_the_readers(tmp_path):
    archive = zipfile.ZipFile(io.BytesIO(_npz()))
    assert archive.testzip() is None
    assert damaged(b"abc", [("cut", 0.5, 0)]) == b"a"
    assert damaged(b"abc", [("set", 0.5, 120)]) == b"axc"
    assert damaged(b"abc", [("add", 0.5, b"x")]) == b"axbc"
