"""Adjacencies and distances from files beside a series."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from graphprune.data.formats.common import Array, numbers
from graphprune.data.formats.table import read_columns
from graphprune.errors import InputError
from graphprune.files import must_exist, read_npy, read_npz

_PICKLES = (".pkl", ".pickle", ".p")


def read_matrix(path: Path | str, sensor_ids: Sequence[str], *, absent: float) -> npt.NDArray[np.float32]:
    """``[N, N]`` float32 from a matrix or a list of links.

    Args:
        path: ``.npy`` matrix; ``.npz`` with one matrix, or ``edge_index [2, L]`` and ``edge_weight [L]``;
            ``.csv`` matrix with or without names, or links ``from, to, value`` by sensor name or position.
        sensor_ids: Names of the N sensors.
        absent: Value of pairs that a list of links leaves out (0 for strengths, infinity for distances).

    Raises:
        InputError: a pickle, another size, an unknown sensor.
    """
    path = must_exist(Path(path))
    n = len(sensor_ids)
    match path.suffix.lower():
        case suffix if suffix in _PICKLES:
            raise InputError(
                f"{path} is a pickle, which can run code when it is opened; "
                "convert it where you trust it with numpy.save and pass the .npy"
            )
        case ".npy":
            matrix = read_npy(path)
        case ".npz":
            arrays = read_npz(path)
            links = _coordinates(list(arrays.values()))
            matrix = next(iter(arrays.values())) if links is None else _scatter(*links, n, absent, path)
        case ".csv" | ".txt":
            matrix = _from_table(path, sensor_ids, absent)
        case other:
            raise InputError(f"{path}: links end in .npy, .npz or .csv, not '{other}'; convert the file")
    if matrix.shape != (n, n):
        raise InputError(f"{path} is {list(matrix.shape)} but the series has {n} sensors; give [{n}, {n}]")
    return numbers(matrix, "links", path)


def _coordinates(arrays: list[Array]) -> tuple[Array, Array, Array] | None:
    pairs = [a for a in arrays if a.ndim == 2 and a.shape[0] == 2 and a.dtype.kind in "iu"]
    weights = [a for a in arrays if a.ndim == 1]
    if len(arrays) == 2 and len(pairs) == len(weights) == 1:
        return pairs[0][0], pairs[0][1], weights[0]
    return None


def _from_table(path: Path, sensor_ids: Sequence[str], absent: float) -> Array:
    n = len(sensor_ids)
    header, columns = read_columns(path)
    named = [cell.strip().lower() for cell in header or []]
    # Three columns are also a matrix of three sensors, or of two with names before it.
    if named[:2] == ["from", "to"] or (len(columns) == 3 and n not in (2, 3)):
        if header is not None and named[:2] != ["from", "to"] and all(_whole(cell) for cell in header[:2]):
            # A list without a header whose first link was taken for one.
            columns = [
                np.concatenate([[float(cell)], column]) for cell, column in zip(header, columns, strict=True)
            ]
        return _scatter(*_positions(columns, sensor_ids, path), columns[2], n, absent, path)
    if len(columns) == n + 1:
        columns = columns[1:]
    matrix = np.stack([numbers(column, "links", path) for column in columns], axis=1)
    if len(matrix) == n - 1 and header is not None and all(_whole(cell) for cell in header):
        # A matrix of whole numbers without a header.
        matrix = np.concatenate([np.array([header], dtype=np.float32), matrix])
    return matrix


def _positions(columns: list[Array], sensor_ids: Sequence[str], path: Path) -> tuple[Array, Array]:
    """Sensors of both ends: by name where all names are known, else by position."""
    place = {name: i for i, name in enumerate(sensor_ids)}
    ends = [[_text(value) for value in column.tolist()] for column in columns[:2]]
    used = {name for column in ends for name in column}
    if not used <= place.keys():
        if not all(_whole(name) and 0 <= int(name) < len(sensor_ids) for name in used):
            stranger = min(used - place.keys())
            raise InputError(
                f"{path} links sensor '{stranger}', which the series does not have; correct the list"
            )
        place = {name: int(name) for name in used}
    return np.array([place[name] for name in ends[0]]), np.array([place[name] for name in ends[1]])


def _scatter(source: Array, target: Array, value: Array, n: int, absent: float, path: Path) -> Array:
    if len(source) and (min(source.min(), target.min()) < 0 or max(source.max(), target.max()) >= n):
        raise InputError(f"{path} links sensors outside 0..{n - 1}; correct the list")
    matrix = np.full((n, n), absent, dtype=np.float32)
    matrix[source, target] = value
    return matrix


def _text(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _whole(cell: str) -> bool:
    try:
        return float(cell).is_integer()
    except ValueError:
        return False
