"""Links of sensors in the order of a series: joined by name where both have names, else by position."""

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
    """Whether the sensors of a series are only numbered, because its file has no names."""
    return all(name in (f"sensor_{i}", str(i)) for i, name in enumerate(sensor_ids))


def matrix_by_name(
    matrix: Array,
    rows: Sequence[str] | None,
    columns: Sequence[str] | None,
    sensor_ids: Sequence[str],
    path: Path,
) -> tuple[Array, Faults]:
    """A matrix in the order of ``sensor_ids``, each axis by its own names.

    Args:
        matrix: ``[R, K]``; if one axis has names, both have those.
        rows: R names, or None.
        columns: K names, or None.
        sensor_ids: N names.
        path: The file, for messages.

    Returns:
        ``[N, N]`` and what to report: stations that the series lacks are left out. A matrix without names is
        positional, also where the series has none or the names are 0..N-1, which pandas writes in place of names.

    Raises:
        InputError: another size, repeated names, or a sensor of the series that is not among them.
    """
    n = len(sensor_ids)
    rows, columns = rows or columns, columns or rows
    if rows is None or columns is None:
        if matrix.shape != (n, n):
            shape = list(matrix.shape)
            raise InputError(
                f"{path} is {shape} but the series has {n} sensors; give [{n}, {n}], or names beside it"
            )
        return matrix, ()
    if matrix.shape != (len(rows), len(columns)):
        named = f"{len(rows)} row names and {len(columns)} column names"
        raise InputError(f"{path} has {named} for a matrix {list(matrix.shape)}; give one name each")
    rows, columns = (_unique(axis, path) for axis in (rows, columns))
    order = [plain(name) for name in sensor_ids]
    positional = _positional(columns, order, sensor_ids, path)
    if positional:
        order = columns
        if set(rows) != set(columns):
            raise InputError(f"{path}: rows and columns have different names; give every sensor both")
    picked = matrix[np.ix_(_places(rows, order, "row", path), _places(columns, order, "column", path))]
    strangers = len({*rows, *columns} - set(order))
    left_out = (
        (f"{path.name}: left out {count(strangers, 'station')} that the series lacks",) if strangers else ()
    )
    return picked, (*positional, *left_out)


def ends_by_name(
    source: Sequence[str], target: Sequence[str], sensor_ids: Sequence[str], path: Path
) -> tuple[Ints, Ints, npt.NDArray[np.bool_], Faults]:
    """Places of both ends of L links in a series, by name or position.

    Returns:
        Places ``[M]`` and ``[M]`` of the links that remain, which of the links these are ``[L]``, and what to report:
        links of stations that the series lacks are left out.

    Raises:
        InputError: no link remains, or the ends may be names as well as positions.
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
                else (f"{path.name}: links were joined by position, not by name",)
            )
        elif numbered:
            raise InputError(
                f"{path}: '{min(known)}' is the name of a sensor, '{min(strangers)}' is not, and all may be positions; "
                "write the names"
            )
    kept = np.array([a in place and b in place for a, b in zip(source, target, strict=True)], dtype=bool)
    if not kept.any():
        shown = f"sensor '{min(strangers)}'" if strangers else "sensors"
        raise InputError(
            f"{path} links {shown}, which the series does not have, and no two of its sensors; write its names (such "
            f"as '{sensor_ids[0]}') or positions 0..{n - 1}"
        )
    if not kept.all():
        links, stations = count(int((~kept).sum()), "link"), count(len(used - place.keys()), "station")
        faults = (f"{path.name}: left out {links} of {stations} that the series lacks",)
    ends = [
        np.array([place[name] for name, keep in zip(end, kept, strict=True) if keep])
        for end in (source, target)
    ]
    return ends[0], ends[1], kept, faults


def _unique(labels: Sequence[str], path: Path) -> list[str]:
    found = [plain(name) for name in labels]
    if len(set(found)) < len(found):
        again = next(name for i, name in enumerate(found) if name in found[:i])
        raise InputError(f"{path} has the name '{again}' twice on one side; give every sensor its own")
    return found


def _positional(found: Sequence[str], order: Sequence[str], sensor_ids: Sequence[str], path: Path) -> Faults:
    """A report if names are to be left aside because none of them is a name of the series, else nothing."""
    if set(found) & set(order) or len(found) != len(order):
        return ()
    if list(found) == [str(i) for i in range(len(found))]:
        return (f"{path.name}: links were joined by position, not by name",)
    if is_unnamed(sensor_ids):
        return (f"{path.name}: links were joined by position, since the series has no sensor names",)
    return ()


def _places(found: Sequence[str], order: Sequence[str], axis: str, path: Path) -> Ints:
    place = {name: i for i, name in enumerate(found)}
    absent = [name for name in order if name not in place]
    if absent:
        raise InputError(
            f"{path} has no {axis} for {len(absent)} of {len(order)} sensors, first '{absent[0]}'; name its rows and "
            "columns as the series does, or leave out all names"
        )
    return np.array([place[name] for name in order])
