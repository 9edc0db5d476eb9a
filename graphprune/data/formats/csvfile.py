"""Read the columns of a ``.csv`` file, and decide whether its first row contains names or data."""

from __future__ import annotations

import csv
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from graphprune.data.formats.clocks import column_kind, is_date
from graphprune.data.formats.common import Array, numbers, plain
from graphprune.errors import InputError

_SEPARATORS = {";": "semicolons", "\t": "tabs"}
_SHOWN = 4


def first_row(path: Path) -> list[str]:
    """Cells of the first row, without line breaks and surrounding spaces."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as handle:
            cells = [" ".join(cell.split()) for cell in next(csv.reader(handle), [])]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, error) from error
    if not cells:
        raise InputError(f"{path} begins with an empty line; begin with the names of the columns")
    for separator, called in _SEPARATORS.items():
        if len(cells) == 1 and separator in cells[0]:
            raise InputError(f"{path} is separated by {called}; write comma-separated columns")
    return cells


def read_rows(path: Path, count: int, *, skip: int, texts: Sequence[int] = ()) -> list[Array]:
    """Read ``count`` columns ``[rows]`` below the first ``skip`` rows, each of numbers, dates or strings.

    Columns in ``texts`` are read as strings. Empty cells become NaN, NaT or empty strings.

    Raises:
        InputError: rows have different lengths, there are no rows, or the file is not a table.
    """
    import pyarrow as pa
    from pyarrow import csv as pacsv

    try:
        table = pacsv.read_csv(
            path,
            read_options=pacsv.ReadOptions(skip_rows=skip, column_names=[str(i) for i in range(count)]),
            # An empty line of a single column is a missing reading.
            parse_options=pacsv.ParseOptions(ignore_empty_lines=count > 1),
            convert_options=pacsv.ConvertOptions(
                strings_can_be_null=not texts, column_types={str(i): pa.string() for i in texts}
            ),
        )
        if table.num_rows:
            return [_column(table.column(i)) for i in range(table.num_columns)]
    except (OSError, pa.ArrowException, ValueError) as error:
        if "Empty CSV" not in str(error):
            raise _unreadable(path, error) from error
    raise InputError(f"{path} has no rows; write one per time step")


def numeric(column: Array, name: str, path: Path, *, first_row: int) -> npt.NDArray[np.float32]:
    """Convert a column to float32; an `InputError` names the row of the first cell that is not a number."""
    if column.dtype.kind == "U":
        row = next((i for i, cell in enumerate(column.tolist()) if cell and as_number(cell) is None), 0)
        held = plain(column[row])[:40]
        raise InputError(
            f"{path} row {first_row + row}: column '{name}' contains '{held}' instead of a number; leave cells of "
            "missing readings empty"
        )
    if column.dtype.kind == "M":
        raise InputError(
            f"{path}: column '{name}' contains dates instead of numbers; write the clock as the first column"
        )
    return numbers(column, name, path)


def names_in_first_row(first: Sequence[str], columns: Sequence[Array]) -> tuple[bool, tuple[str, ...]]:
    """Whether the first row contains names, and a known issue to report if this is a guess.

    Args:
        first: Cells of the first row.
        columns: Columns below the first row.

    Strings that are not dates are names. A row of numbers is data if it has decimals, duplicates or empty cells, begins
    the clock or index of the first column, or if most of its cells are within the range of the readings below them.
    Integral numbers that ascend, or that are far from all readings, are names.
    """
    values = [as_number(cell) for cell in first]
    if values[0] is None:
        return not is_date(first[0]), ()
    if any(value is None for value in values):
        return True, ()
    kind = column_kind(columns[0])
    if kind in ("epoch", "index", "steps") and columns[0][1] - columns[0][0] == columns[0][0] - values[0]:
        return False, ()
    if kind != "readings":
        first, values, columns = first[1:], values[1:], columns[1:]
    if not all(cell.isdigit() for cell in first) or len(set(first)) < len(first):
        return False, ()
    ids = [int(cell) for cell in first]
    near = [_place(value, column) for value, column in zip(ids, columns, strict=True)]
    if not any(near):
        return True, ()
    gaps = [after - before for before, after in itertools.pairwise(ids)]
    ordered = len(ids) >= _SHOWN and min(gaps) > 0
    counted = len(ids) >= _SHOWN - 1 and set(gaps) == {1}
    named = ordered or counted or sum(place == 2 for place in near) < len(near) / 2
    shown = ", ".join(first[:_SHOWN]) + (", ..." if len(first) > _SHOWN else "")
    return named, (f"row 1 ({shown}) was taken for {'sensor names' if named else 'readings'}",)


def _place(value: float, column: Array) -> int:
    """2: within the range of a column, or before it if it only ascends; 1: near the range; 0: far from it."""
    if column.dtype.kind not in "iuf" or not np.isfinite(column).any():
        return 0
    readings = column[np.isfinite(column)].astype(np.float64)
    least, most = float(readings.min()), float(readings.max())
    if not least - (most - least) <= value <= most + (most - least):
        return 0
    counter = value <= readings[0] and bool((np.diff(readings) >= 0).all())
    return 2 if least <= value <= most or counter else 1


def as_number(cell: str) -> float | None:
    """The number in a cell, NaN if the cell is empty, or None if it is not a number.

    >>> as_number("1.5"), as_number("north")
    (1.5, None)
    """
    try:
        return float(cell) if cell else float("nan")
    except ValueError:
        return None


def _column(column: Any) -> Array:
    import pyarrow as pa

    if pa.types.is_date(column.type):
        return np.asarray(column.to_numpy()).astype("datetime64[s]")
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan, dtype=np.float32)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.uint8())
    if (
        pa.types.is_timestamp(column.type)
        or pa.types.is_integer(column.type)
        or pa.types.is_floating(column.type)
    ):
        return np.asarray(column.to_numpy())
    texts = ["" if cell is None else str(cell) for cell in column.to_pylist()]
    return np.array(texts, dtype=np.str_)


def _unreadable(path: Path, error: Exception) -> InputError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return InputError(f"{path} is not a readable table ({reason}); write comma-separated columns")
