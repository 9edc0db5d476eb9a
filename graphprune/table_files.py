"""Score tables and selections as files: the suffix decides the format, for writing and for reading.

CSV and JSON lines hold the columns with every digit, but not the metadata (the data set's fingerprint), which only
Parquet keeps.
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
from graphprune.interchange import read_ids, write_ids
from graphprune.select.base import Selection
from graphprune.table import ScoreTable, read_parquet

# What a file with such a suffix would hold: a folder of that name is a mistake.
_FILES = (".parquet", ".csv", ".jsonl", ".json", ".txt", ".npy", ".npz", ".safetensors", ".html")


def check_out(out: Path, suffixes: tuple[str, ...], *, inputs: tuple[Path | None, ...] = ()) -> None:
    """Refuses an output path before anything is computed.

    Args:
        out: Where a file will be written, or a folder if there are no ``suffixes``.
        suffixes: Those of the formats that can be written.
        inputs: Files that the command reads, which it must not overwrite.

    Raises:
        InputError: another suffix, a folder in place of a file (or the reverse), or one of the inputs.
    """
    if suffixes:
        _check_suffix(out, suffixes, "writes")
        if out.is_dir():
            raise InputError(f"--out {out} is a folder; give the path of a file")
    elif out.suffix.lower() in _FILES or (out.exists() and not out.is_dir()):
        raise InputError(
            f"--out {out} names a file, but this command writes a folder; give the path of a folder"
        )
    for path in inputs:
        if path is not None and path.exists() and out.resolve() == path.resolve():
            raise InputError(f"--out {out} would overwrite this command's input; choose another path")


def write_scores(table: ScoreTable, path: Path) -> None:
    """Writes ``sample_id, value, std, source``; the file is whole or absent."""
    _write[_check_suffix(path, SCORES, "writes")](table.to_arrow(), path)


def read_scores(path: Path) -> ScoreTable:
    """Reads ``sample_id, value`` and, if there, ``std`` and ``source``."""
    suffix = _check_suffix(path, SCORES, "reads")
    return ScoreTable.from_arrow(_read[suffix](path), str(path))


def write_selection(selection: Selection, path: Path) -> None:
    """Writes ``sample_id, weight``, or ids alone as ``.txt``; the file is whole or absent."""
    suffix = _check_suffix(path, SELECTIONS, "writes")
    write_ids(selection, path) if suffix == ".txt" else _write[suffix](selection.to_arrow(), path)


def read_selection(path: Path) -> Selection:
    """Reads ``sample_id`` and, if there, ``weight`` (else 1); ``.txt`` holds one id on each line."""
    suffix = _check_suffix(path, SELECTIONS, "reads")
    return read_ids(path) if suffix == ".txt" else Selection.from_arrow(_read[suffix](path), str(path))


def _check_suffix(path: Path, suffixes: tuple[str, ...], does: str) -> str:
    suffix = path.suffix.lower()
    if suffix not in suffixes:
        known = " or ".join([", ".join(suffixes[:-1]), suffixes[-1]] if len(suffixes) > 1 else suffixes)
        raise InputError(
            f"{path} has the suffix '{path.suffix}'; the suffix decides the format, and this command {does} {known}"
        )
    return suffix


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
    """Float32 columns as float64, whose shortest decimal form is read back as the same number."""
    fields = [pa.field(f.name, pa.float64()) if pa.types.is_float32(f.type) else f for f in table.schema]
    return table.cast(pa.schema(fields))


def _read_parquet(path: Path) -> pa.Table:
    return read_parquet(path, required=())


def _read_csv(path: Path) -> pa.Table:
    return _parsed(path, pa.csv.read_csv, "CSV")


def _read_jsonl(path: Path) -> pa.Table:
    return _parsed(path, pa.json.read_json, "JSON lines")


def _parsed(path: Path, read: Callable[[Path], pa.Table], what: str) -> pa.Table:
    try:
        return read(must_exist(path))
    except (pa.ArrowException, OSError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{path} is not a readable file of {what} ({reason}); correct or regenerate it"
        ) from error


_write = {".parquet": _write_parquet, ".csv": _write_csv, ".jsonl": _write_jsonl}
_read = {".parquet": _read_parquet, ".csv": _read_csv, ".jsonl": _read_jsonl}
SCORES = tuple(_write)
SELECTIONS = (*SCORES, ".txt")
