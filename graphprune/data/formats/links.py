"""Read adjacencies and distances of sensors from files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from graphprune.data.formats.byname import Faults, matrix_by_name
from graphprune.data.formats.common import Array, link_matrix, names
from graphprune.data.formats.linktable import read_table
from graphprune.errors import InputError
from graphprune.files import must_exist, read_npy, read_npz

_PICKLES = (".pkl", ".pickle", ".p")
_NAME_KEYS = ("sensor_ids", "ids", "names", "stations", "nodes")
# Accepted names if a file contains several matrices.
_MATRIX_KEYS = {0.0: ("adjacency", "adj", "adj_mx"), np.inf: ("distance_km", "distance", "distances", "dist")}


def read_links(
    path: Path | str, sensor_ids: Sequence[str], *, absent: float
) -> tuple[npt.NDArray[np.float32], Faults]:
    """Read a matrix or a list of links as ``[N, N]`` float32 in the order of a series; also returns known issues.

    Links are matched by the names of rows and of columns, without names by position. Stations that are not in the
    series are skipped and reported.

    Args:
        path: ``.npy`` matrix (by position); ``.npz`` with a matrix, or ``edge_index [2, L]`` and ``edge_weight [L]``,
            and optionally names (``sensor_ids``); ``.h5`` with a pandas frame or one matrix; ``.csv`` with a matrix
            with or without names, or links ``from, to, value`` by sensor name or position.
        sensor_ids: Names of the N sensors.
        absent: Value of pairs that a list of links does not contain (0 for strengths, infinity for distances).

    Raises:
        InputError: the file is a pickle, the size does not match, a sensor has no row or column, or no link connects
            two sensors of the series.
    """
    path = must_exist(Path(path))
    match path.suffix.lower():
        case suffix if suffix in _PICKLES:
            raise InputError(
                f"{path} is a pickle, which can run code when it is loaded; "
                "if you trust it, convert it with numpy.save and pass the .npy"
            )
        case ".npy":
            matrix, faults = matrix_by_name(read_npy(path), None, None, sensor_ids, path)
        case ".npz":
            matrix, faults = _from_arrays(read_npz(path), sensor_ids, absent, path)
        case ".h5" | ".hdf5":
            from graphprune.data.formats.hdf5 import read_matrix

            matrix, faults = matrix_by_name(*read_matrix(path), sensor_ids, path)
        case ".csv" | ".txt":
            matrix, faults = read_table(path, sensor_ids, absent)
        case other:
            raise InputError(
                f"{path} has the suffix '{other}'; files of links end in .npy, .npz, .h5 or .csv"
            )
    return link_matrix(matrix, "links", path), faults


def _from_arrays(
    arrays: Mapping[str, Array], sensor_ids: Sequence[str], absent: float, path: Path
) -> tuple[Array, Faults]:
    rest = {
        key: array for key, array in arrays.items() if key not in _NAME_KEYS and array.dtype.kind not in "US"
    }
    edges = _coordinates(rest)
    wanted, other = (
        _MATRIX_KEYS[absent],
        {*_MATRIX_KEYS[0.0], *_MATRIX_KEYS[np.inf]} - {*_MATRIX_KEYS[absent]},
    )
    square = [key for key, a in rest.items() if a.ndim == 2 and a.shape[0] == a.shape[1] and key not in other]
    if edges is None and len(square) > 1:
        square = [key for key in wanted if key in square][:1]
    if edges is None and len(square) != 1:
        found = ", ".join(f"{key} {list(a.shape)}" for key, a in arrays.items()) or "nothing"
        raise InputError(f"{path} contains {found}; give one matrix [N, N], called '{wanted[0]}'")
    labels = _labels(arrays, None if edges is not None else len(rest[square[0]]), path)
    matrix = rest[square[0]] if edges is None else _scatter(*edges, len(labels or sensor_ids), absent, path)
    return matrix_by_name(matrix, labels, labels, sensor_ids, path)


def _labels(arrays: Mapping[str, Array], size: int | None, path: Path) -> tuple[str, ...] | None:
    """Names for a matrix of ``size`` sensors: an array with a usual name, or the only array of that many strings."""
    found = [key for key in arrays if key in _NAME_KEYS] or [
        key for key, a in arrays.items() if a.ndim == 1 and a.dtype.kind in "US" and size in (None, len(a))
    ]
    if "sensor_ids" in found:
        found = ["sensor_ids"]
    if len(found) > 1:
        raise InputError(
            f"{path} has several lists of names ({', '.join(found)}); rename one to 'sensor_ids'"
        )
    return names(arrays[found[0]], "sensor", 0, path) if found else None


def _coordinates(arrays: Mapping[str, Array]) -> tuple[Array, Array, Array] | None:
    pairs = [a for a in arrays.values() if a.ndim == 2 and a.shape[0] == 2 and a.dtype.kind in "iu"]
    weights = [a for a in arrays.values() if a.ndim == 1 and a.dtype.kind in "fiub"]
    if len(arrays) == 2 and len(pairs) == len(weights) == 1:
        return pairs[0][0], pairs[0][1], weights[0]
    return None


def _scatter(source: Array, target: Array, value: Array, n: int, absent: float, path: Path) -> Array:
    if len(source) != len(value):
        raise InputError(f"{path} has {len(value)} weights for {len(source)} links; give one weight per link")
    if len(source) and (min(source.min(), target.min()) < 0 or max(source.max(), target.max()) >= n):
        raise InputError(f"{path} links sensors outside 0..{n - 1}; correct the list")
    matrix = np.full((n, n), absent, dtype=np.float64)
    matrix[source, target] = value
    return matrix
