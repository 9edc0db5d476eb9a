"""Read and write score tables and selections; the suffix of a file decides its format.

CSV and JSON lines store every digit of the columns. Only Parquet also stores the metadata, such as the fingerprint of
the data set.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from graphprune.errors import InputError
from graphprune.files import must_exist, write_atomic, write_text
from graphprune.interchange.frames import read_ids, write_ids
from graphprune.runtime.paths import check_suffix
from graphprune.select.base import Selection
from graphprune.table import ScoreTable, read_parquet


def write_scores(table: ScoreTable, path: Path) -> None:
    """Write ``sample_id, value, std, source`` as ``.parquet``, ``.csv`` or ``.jsonl``, atomically."""
    _write[check_suffix(path, SCORES, "writes")](table.to_arrow(), path)


def read_scores(path: Path) -> ScoreTable:
    """Read ``sample_id, value`` and, if they exist, ``std`` and ``source``."""
    suffix = check_suffix(path, SCORES, "reads")
    return ScoreTable.from_arrow(_read[suffix](path), str(path))


def write_selection(selection: Selection, path: Path) -> None:
    """Write ``sample_id, weight``, or only the ids as ``.txt``, atomically."""
    suffix = check_suffix(path, SELECTIONS, "writes")
    write_ids(selection, path) if suffix == ".txt" else _write[suffix](selection.to_arrow(), path)


def read_selection(path: Path) -> Selection:
    """Read ``sample_id`` and, if it exists, ``weight`` (otherwise 1); a ``.txt`` has one id per line."""
    suffix = check_suffix(path, SELECTIONS, "reads")
    return read_ids(path) if suffix == ".txt" else Selection.from_arrow(_read[suffix](path), str(path))


def _write_parquet(table: pa.Table, path: Path) -> None:
    write_atomic(path, lambda p: pq.write_table(table, p))


def _write_csv(table: pa.Table, path: Path) -> None:
    header = ",".join(table.column_names) + "\n"
    options = pa.csv.WriteOptions(include_header=False, quoting_style="none")

    def write(temporary: Path) -> None:
        with temporary.open("wb") as stream:
            stream.write(header.encode())
            pa.csv.write_csv(_all_digits(table), stream, options)

    write_atomic(path, write)


def _write_jsonl(table: pa.Table, path: Path) -> None:
    write_text(path, "".join(json.dumps(row) + "\n" for row in table.to_pylist()))


def _all_digits(table: pa.Table) -> pa.Table:
    """Convert float32 columns to float64, whose shortest decimal form is read back as the same number."""
    fields = [pa.field(f.name, pa.float64()) if pa.types.is_float32(f.type) else f for f in table.schema]
    return table.cast(pa.schema(fields))


def _read_parquet(path: Path) -> pa.Table:
    return read_parquet(path, required=())


def _read_csv(path: Path) -> pa.Table:
    return _parsed(path, pa.csv.read_csv, "CSV")


def _read_jsonl(path: Path) -> pa.Table:
    return _parsed(path, pa.json.read_json, "JSON lines")


def _parsed(path: Path, read: Callable[[Path], pa.Table], what: str) -> pa.Table:
    must_exist(path)
    try:
        return read(path)
    except (pa.ArrowException, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{path} is not a readable {what} file ({reason}); correct or regenerate it"
        ) from error


_write = {".parquet": _write_parquet, ".csv": _write_csv, ".jsonl": _write_jsonl}
_read = {".parquet": _read_parquet, ".csv": _read_csv, ".jsonl": _read_jsonl}
SCORES = tuple(_write)
SELECTIONS = (*SCORES, ".txt")
