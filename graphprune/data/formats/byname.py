"""Match links to the sensors of a series: by name if both have names, otherwise by position."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from graphprune.data.formats.common import Array, count, plain
from graphprune.errors import InputError

Faults = tuple[str, ...]
Ints = npt.NDArray[np.int64]


def is_unnamed(sensor_ids: Sequence[str]) -> bool:
    """Whether the sensor names are only numbers, because the file of the series has no names.

    >>> is_unnamed(["sensor_0", "sensor_1"]), is_unnamed(["north", "south"])
    (True, False)
    """
    return all(name in (f"sensor_{i}", str(i)) for i, name in enumerate(sensor_ids))


def matrix_by_name(
    matrix: Array,
    rows: Sequence[str] | None,
    columns: Sequence[str] | None,
    sensor_ids: Sequence[str],
    path: Path,
) -> tuple[Array, Faults]:
    """Reorder a matrix to ``sensor_ids``, each axis by its own names.

    Args:
        matrix: ``[R, K]``; if only one axis has names, they apply to both.
        rows: R names, or None.
        columns: K names, or None.
        sensor_ids: N names.
        path: File, for messages.

    Returns:
        ``[N, N]`` and known issues: stations that are not in the series are skipped. A matrix is matched by position if
        it or the series has no names, or if its names are 0..N-1, which pandas writes instead of names.

    Raises:
        InputError: the size does not match, names are duplicates, or a sensor of the series is missing.
    """
    n = len(sensor_ids)
    rows, columns = rows or columns, columns or rows
    if rows is None or columns is None:
        if matrix.shape != (n, n):
            shape = list(matrix.shape)
            raise InputError(
                f"{path} is {shape} but the series has {n} sensors; give [{n}, {n}], or add names"
            )
        return matrix, ()
    if matrix.shape != (len(rows), len(columns)):
        named = f"{len(rows)} row names and {len(columns)} column names"
        raise InputError(
            f"{path} has {named} for a matrix {list(matrix.shape)}; give one name per row and column"
        )
    rows, columns = (_unique(axis, path) for axis in (rows, columns))
    order = [plain(name) for name in sensor_ids]
    positional = _positional(columns, order, sensor_ids, path)
    if positional:
        order = columns
        if set(rows) != set(columns):
            raise InputError(
                f"{path}: rows and columns have different names; give every sensor a row and a column"
            )
    picked = matrix[np.ix_(_places(rows, order, "row", path), _places(columns, order, "column", path))]
    strangers = len({*rows, *columns} - set(order))
    left_out = (
        (f"{path.name}: skipped {count(strangers, 'station')} that the series does not have",)
        if strangers
        else ()
    )
    return picked, (*positional, *left_out)


def ends_by_name(
    source: Sequence[str], target: Sequence[str], sensor_ids: Sequence[str], path: Path
) -> tuple[Ints, Ints, npt.NDArray[np.bool_], Faults]:
    """Sensor indices of both ends of L links, by name or position.

    Returns:
        Indices ``[M]`` and ``[M]`` of the remaining links, a mask of them ``[L]``, and known issues: links of stations
        that are not in the series are skipped.

    Raises:
        InputError: no link remains, or the ends could be names as well as positions.
    """
    n = len(sensor_ids)
    place = {plain(name): i for i, name in enumerate(sensor_ids)}
    used = {*source, *target}
    strangers = used - place.keys()
    faults: Faults = ()
    if strangers:
        numbered = all(name.isdigit() and int(name) < n for name in used)
        known = used & place.keys()
        if numbered and not known:
            place = {name: int(name) for name in used}
            faults = (
                ()
                if is_unnamed(sensor_ids)
                else (f"{path.name}: links were matched by position, not by name",)
            )
        elif numbered:
            raise InputError(
                f"{path}: '{min(known)}' is a sensor name, '{min(strangers)}' is not, and both could be positions; "
                "write sensor names"
            )
    kept = np.array([a in place and b in place for a, b in zip(source, target, strict=True)], dtype=bool)
    if not kept.any():
        shown = f"sensor '{min(strangers)}'" if strangers else "sensors"
        raise InputError(
            f"{path} links {shown}, which the series does not have, and no two of its own sensors; write sensor names "
            f"(such as '{sensor_ids[0]}') or positions 0..{n - 1}"
        )
    if not kept.all():
        links, stations = count(int((~kept).sum()), "link"), count(len(used - place.keys()), "station")
        faults = (f"{path.name}: skipped {links} of {stations} that the series does not have",)
    ends = [
        np.array([place[name] for name, keep in zip(end, kept, strict=True) if keep])
        for end in (source, target)
    ]
    return ends[0], ends[1], kept, faults


def _unique(labels: Sequence[str], path: Path) -> list[str]:
    found = [plain(name) for name in labels]
    if len(set(found)) < len(found):
        again = next(name for i, name in enumerate(found) if name in found[:i])
        raise InputError(f"{path}: duplicate entry '{again}' in the names of one axis; give unique names")
    return found


def _positional(found: Sequence[str], order: Sequence[str], sensor_ids: Sequence[str], path: Path) -> Faults:
    """A known issue if names are ignored because none of them is a name of the series, otherwise nothing."""
    if set(found) & set(order) or len(found) != len(order):
        return ()
    if list(found) == [str(i) for i in range(len(found))]:
        return (f"{path.name}: links were matched by position, not by name",)
    if is_unnamed(sensor_ids):
        return (f"{path.name}: links were matched by position, because the series has no sensor names",)
    return ()


def _places(found: Sequence[str], order: Sequence[str], axis: str, path: Path) -> Ints:
    place = {name: i for i, name in enumerate(found)}
    absent = [name for name in order if name not in place]
    if absent:
        raise InputError(
            f"{path} has no {axis} for {len(absent)} of {len(order)} sensors, the first is '{absent[0]}'; use the "
            "sensor names of the series for rows and columns, or remove all names"
        )
    return np.array([place[name] for name in order])
