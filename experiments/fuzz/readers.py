"""Coverage-guided fuzzing of the binary readers: anything but an answer or an `InputError` is a fault.

pip install atheris
python experiments/fuzz/readers.py [-max_total_time=3600]
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["graphprune", "numpy.lib", "zipfile"]):
    from graphprune.data.images import load_npz
    from graphprune.data.sensors import read_sensors
    from graphprune.embed.precomputed import read_embeddings
    from graphprune.errors import InputError
    from graphprune.files import read_npy, read_npz
    from graphprune.select.base import Selection
    from graphprune.table import ScoreTable

READERS = (
    (".npy", read_npy),
    (".npy", read_embeddings),
    (".npy", lambda path: read_sensors(path, steps_per_day=24)),
    (".npz", read_npz),
    (".npz", load_npz),
    (".npz", lambda path: read_sensors(path, steps_per_day=24)),
    (".parquet", ScoreTable.from_parquet),
    (".parquet", Selection.from_parquet),
    (".safetensors", read_embeddings),
    (".parquet", read_embeddings),
)
FOLDER = Path(tempfile.mkdtemp(prefix="graphprune-fuzz-"))


def one_input(data: bytes) -> None:
    """The first byte chooses the reader, the rest is the file."""
    if not data:
        return
    suffix, read = READERS[data[0] % len(READERS)]
    path = FOLDER / f"D{suffix}"
    path.write_bytes(data[1:])
    with contextlib.suppress(InputError):
        read(path)


def corpus() -> Path:
    """Sound files to begin with, one for each reader."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq
    from safetensors.numpy import save_file

    folder = FOLDER / "corpus"
    folder.mkdir()
    x = np.arange(24, dtype=np.float32).reshape(12, 2)
    np.save(FOLDER / "D.npy", x)
    np.savez(FOLDER / "D.npz", x=x, y=np.arange(12) % 2, values=x)
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(x.reshape(-1)), 2)
    columns = {"sample_id": list(range(12)), "value": [0.5] * 12, "embedding": vectors}
    pq.write_table(pa.table(columns), FOLDER / "D.parquet")
    save_file({"embeddings": x}, FOLDER / "D.safetensors")
    for number, (suffix, _) in enumerate(READERS):
        (folder / str(number)).write_bytes(bytes([number]) + (FOLDER / f"D{suffix}").read_bytes())
    return folder


if __name__ == "__main__":
    atheris.Setup([*sys.argv, str(corpus())], one_input)
    atheris.Fuzz()
