"""Links in ``.csv``: a matrix with or without names, or a list ``from, to, value``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from graphprune.data.formats.byname import Faults, ends_by_name, is_unnamed, matrix_by_name
from graphprune.data.formats.common import Array, count, plain
from graphprune.data.formats.csvfile import as_number, first_row, numeric, read_rows
from graphprune.errors import InputError

_FROM = ("from", "source", "src", "origin", "start", "i", "from_id", "from_node", "node1", "sensor_from")
_TO = ("to", "target", "dst", "destination", "end", "j", "to_id", "to_node", "node2", "sensor_to")
_VALUE = ("cost", "distance", "dist", "weight", "value", "strength", "length", "w", "distance_km", "km")
_INDEX = ("", "index", "unnamed: 0")


def read_table(path: Path, sensor_ids: Sequence[str], absent: float) -> tuple[Array, Faults]:
    """Read ``[N, N]`` in the order of ``sensor_ids`` and known issues; for the arguments see `links.read_links`."""
    first = first_row(path)
    columns = _list_columns(first, path)
    if columns is not None:
        return _read_list(path, len(first), columns, sensor_ids, absent, skip=1)
    rows = 1 + len(read_rows(path, len(first), skip=1)[0])
    if len(first) == 3 and _is_list(first, rows, sensor_ids, path):
        return _read_list(path, 3, (0, 1, 2), sensor_ids, absent, skip=int(as_number(first[2]) is None))
    return _read_matrix(path, first, rows, sensor_ids)


def _read_matrix(path: Path, first: list[str], rows: int, sensor_ids: Sequence[str]) -> tuple[Array, Faults]:
    """Read a matrix; the numbers of rows and columns show whether they have names."""
    wide, n = len(first), len(sensor_ids)
    numbers_only = all(as_number(cell) is not None for cell in first)
    if rows == wide and numbers_only and (wide == n or (wide != n + 1 and first[0])):
        above, beside = 0, 0
    elif abs(rows - wide) <= 1:
        above, beside = int(rows >= wide), int(rows <= wide)
    else:
        raise InputError(
            f"{path} has {rows} rows and {wide} columns; give a square matrix, or links with the header from,to,value"
        )
    columns = read_rows(path, wide, skip=above, texts=range(beside))
    labels = [column.tolist() for column in columns[:beside]]
    readings = enumerate(columns[beside:], beside + 1)
    matrix = np.stack([numeric(column, str(i), path, first_row=above + 1) for i, column in readings], 1)
    return matrix_by_name(
        matrix, labels[0] if labels else None, first[beside:] if above else None, sensor_ids, path
    )


def _read_list(
    path: Path,
    width: int,
    places: tuple[int, int, int],
    sensor_ids: Sequence[str],
    absent: float,
    *,
    skip: int,
) -> tuple[Array, Faults]:
    columns = read_rows(path, width, skip=skip, texts=places[:2])
    source, target = ([plain(name) for name in columns[place].tolist()] for place in places[:2])
    value = numeric(columns[places[2]], "value", path, first_row=skip + 1)
    rows, cols, kept, faults = ends_by_name(source, target, sensor_ids, path)
    n, value = len(sensor_ids), value[kept]
    matrix = np.full((n, n), absent, dtype=np.float32)
    matrix[rows, cols] = value
    again = int((~np.isclose(matrix[rows, cols], value, equal_nan=True)).sum())
    repeated = (
        (f"{path.name}: {count(again, 'link')} repeated with another value; the last value is used",)
        if again
        else ()
    )
    return matrix, (*faults, *repeated)


def _list_columns(first: Sequence[str], path: Path) -> tuple[int, int, int] | None:
    """Columns of from, to and value, if the header contains these names."""
    named = [cell.lower() for cell in first]
    ends = [next((i for i, name in enumerate(named) if name in known), None) for known in (_FROM, _TO)]
    if ends[0] is None or ends[1] is None:
        return None
    rest = [i for i, name in enumerate(named) if i not in ends and name not in _INDEX]
    values = [i for i in rest if named[i] in _VALUE] or rest
    if len(values) != 1:
        raise InputError(f"{path} has the columns {', '.join(first)}; give from, to and one value")
    return ends[0], ends[1], values[0]


def _is_list(first: Sequence[str], rows: int, sensor_ids: Sequence[str], path: Path) -> bool:
    """Whether three columns are a list; they could also be a matrix of three sensors, or of two with names."""
    n, ids = len(sensor_ids), {plain(name) for name in sensor_ids}
    cells = [plain(cell) for cell in first]
    texts = any(as_number(cell) is None for cell in first)
    match n, rows:
        case 2, 2:
            return cells[1] in ids
        case 2, 3:
            return bool(first[0]) and set(cells[1:]) != ids
        case 3, 3:
            return texts
        case 3, 4:
            if texts and is_unnamed(sensor_ids):
                raise InputError(
                    f"{path} may be a matrix or a list of links; write a list with the header from,to,value"
                )
            return set(cells) != ids
    return True
