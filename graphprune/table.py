"""Score tables: scores with their ids, uncertainty and origin, the objects that stages exchange."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from graphprune.errors import InputError
from graphprune.files import must_exist, refuse_inflation, require_finite, write_atomic
from graphprune.registry import DIRECTION

METADATA_KEY = b"graphprune"
# Products of variances of larger scores would overflow float64.
_LARGEST = np.float64(1e70)

Scores = npt.NDArray[np.floating[Any]]  # float32 or float64


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """One score for each of many samples, sorted by id.

    Args:
        ids: Sample ids ``[N]`` int64, unique, in any order (stored in ascending order).
        values: Scores ``[N]``, finite; a larger value always means "keep". Stored as float32 if it represents all of
            them exactly, otherwise as float64, so their order is never lost.
        measured: ``[N]`` bool, True if the score was measured and False if it was predicted. A single bool applies
            to all samples.
        std: Standard deviations of the predictions ``[N]``, stored like ``values``, or None.
        metadata: Origin of the scores (``score``, ``fingerprint`` of the data set, ``embedding``, ``graph``, ``seed``,
            ``versions``); a missing key means unknown. Stored as JSON: other objects, such as dates, become strings.

    Raises:
        InputError: lengths or types do not match, an id is not an int64 or occurs twice, or a value is NaN, infinite
            or beyond 1e70.

    >>> table = ScoreTable([2, 0], [0.5, 0.25], True)
    >>> table.ids.tolist(), table.values.tolist()
    ([0, 2], [0.25, 0.5])
    """

    ids: npt.NDArray[np.int64]
    values: Scores
    measured: npt.NDArray[np.bool_]
    std: Scores | None = None
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        ids = require_ids(self.ids, "score table: ids")
        measured = np.asarray(self.measured)
        if measured.dtype != np.bool_:
            raise InputError(f"score table: measured is {measured.dtype}; give True or False for each sample")
        columns = {
            "values": require_numbers(self.values, "score table: values"),
            "measured": np.full(ids.shape, measured) if measured.ndim == 0 else measured.reshape(-1),
            "std": None if self.std is None else require_numbers(self.std, "score table: std"),
        }
        for name, column in columns.items():
            if column is not None and len(column) != len(ids):
                raise InputError(f"score table: {len(ids)} ids but {len(column)} {name}; give one per id")
        order = np.argsort(ids, kind="stable")
        ids = ids[order]
        if len(ids) and (repeated := ids[1:] == ids[:-1]).any():
            raise InputError(
                f"score table: {int(repeated.sum())} ids occur more than once, the first is "
                f"{int(ids[1:][repeated][0])}; keep one row per sample_id"
            )
        object.__setattr__(self, "ids", ids)
        for name, column in columns.items():
            object.__setattr__(self, name, None if column is None else np.ascontiguousarray(column[order]))
        object.__setattr__(self, "metadata", json_metadata(self.metadata))
        require_finite(self.values, "score table", ids)
        if np.abs(self.values).max(initial=0.0) > _LARGEST:
            raise InputError(f"score table: some values are beyond {_LARGEST:g}; rescale them")
        if self.std is not None and not ((self.std >= 0) & (self.std <= _LARGEST)).all():
            raise InputError(
                "score table: std contains NaN, infinite or negative values; give standard deviations or None"
            )

    def __len__(self) -> int:
        return len(self.ids)

    def rows(self, mask: npt.NDArray[np.bool_]) -> ScoreTable:
        """The rows for which ``mask [N]`` is True."""
        std = None if self.std is None else self.std[mask]
        return ScoreTable(self.ids[mask], self.values[mask], self.measured[mask], std, self.metadata)

    def rows_of(self, ids: npt.NDArray[np.int64], what: str) -> npt.NDArray[np.int64]:
        """Positions of ``ids`` in this table; a missing id is an `InputError` that calls the ids ``what``."""
        return locate(self.ids, ids, what)

    def require_same_data(self, other: ScoreTable) -> None:
        """Raise an `InputError` if both tables are known to come from different data sets."""
        require_same_data(self.metadata, other.metadata)

    def to_arrow(self) -> pa.Table:
        """Arrow table with the columns ``sample_id, value, std, source`` and the metadata in its schema."""
        metadata = {"direction": DIRECTION, **self.metadata}
        return pa.table(
            {
                "sample_id": pa.array(self.ids),
                "value": pa.array(self.values),
                "std": pa.array(self.std) if self.std is not None else pa.nulls(len(self), pa.float32()),
                "source": pa.array(np.where(self.measured, "measured", "predicted")),
            }
        ).replace_schema_metadata({METADATA_KEY: json.dumps(metadata, sort_keys=True)})

    @classmethod
    def from_arrow(
        cls, table: pa.Table, what: str = "table", *, metadata: dict[str, Any] | None = None
    ) -> ScoreTable:
        """Create a table from Arrow columns; without ``std`` there are none, without ``source`` all are measured.

        Args:
            table: Arrow table with ``sample_id`` and ``value``.
            what: Name of the table in error messages.
            metadata: Replaces the metadata of the schema.
        """
        require_columns(table, ("sample_id", "value"), what)
        source = [str(s) for s in table["source"].to_pylist()] if "source" in table.column_names else None
        if source is not None and (unknown := set(source) - {"measured", "predicted"}):
            raise InputError(
                f"{what}: source must be 'measured' or 'predicted', not {min(unknown)!r}; correct the column"
            )
        std = None
        if "std" in table.column_names and table["std"].null_count < len(table):
            std = numeric_column(table, "std", what)
        if metadata is None:
            metadata = read_metadata(table, what)
        values = numeric_column(table, "value", what)
        ids = integer_column(table, "sample_id", what)
        measured = source is None or np.array([s == "measured" for s in source], dtype=bool)
        try:
            return cls(ids, values, np.broadcast_to(measured, ids.shape), std, metadata)
        except InputError as error:
            raise InputError(f"{what}: {error}") from error

    def to_parquet(self, path: Path | str) -> None:
        """Write ``sample_id, value, std, source`` and the metadata atomically."""
        table = self.to_arrow()
        write_atomic(Path(path), lambda p: pq.write_table(table, p))

    @classmethod
    def from_parquet(cls, path: Path | str) -> ScoreTable:
        """Read a table; without ``std`` there are none, without ``source`` all scores are measured."""
        return cls.from_arrow(read_parquet(Path(path), required=("sample_id", "value")), str(path))


def require_same_data(mine: Mapping[str, Any], other: Mapping[str, Any]) -> None:
    """Raise an `InputError` if both fingerprints are known and differ."""
    one, two = mine.get("fingerprint"), other.get("fingerprint")
    if one and two and one != two:
        raise InputError(
            f"the scores come from different data sets (fingerprints {one} and {two}); "
            "compute both on the same data"
        )


def require_ids(ids: npt.ArrayLike, what: str) -> npt.NDArray[np.int64]:
    """Return ids ``[N]`` as int64.

    Raises:
        InputError: they are not integers that fit int64. Floats with integral values, strings, booleans and masked
            values are refused, too. The message calls the ids ``what``.

    >>> require_ids(np.array([3, 1], np.uint8), "ids").dtype
    dtype('int64')
    """
    array = _vector(ids, what)
    if array.size and array.dtype.kind not in "iu":
        raise InputError(f"{what} are {array.dtype}; give integers (int64)")
    if array.dtype == np.uint64 and (array > np.iinfo(np.int64).max).any():
        raise InputError(f"{what} contain {array.max()}, which does not fit int64; give smaller ids")
    return array.astype(np.int64, copy=False)


def require_numbers(values: npt.ArrayLike, what: str) -> Scores:
    """Return numbers ``[N]`` as float32 if it represents all of them exactly, otherwise as float64.

    Raises:
        InputError: it is not a vector of numbers, or float64 cannot represent them exactly.

    >>> require_numbers([0.5, 2.0], "values").dtype, require_numbers([0.1, 2.0], "values").dtype
    (dtype('float32'), dtype('float64'))
    """
    array = _vector(values, what)
    if array.size and array.dtype.kind not in "fiu":
        raise InputError(f"{what} are {array.dtype}; give numbers, one per id")
    if array.dtype == np.float32:
        return array
    with np.errstate(all="ignore"):
        wide = array.astype(np.float64)
        narrow = wide.astype(np.float32)
        exact = array.dtype.itemsize < 8 or np.array_equal(wide.astype(array.dtype), array, equal_nan=True)
    if not exact:
        raise InputError(
            f"{what} are {array.dtype} with more digits than float64 can store; rescale or rank them"
        )
    return narrow if np.array_equal(narrow, wide, equal_nan=True) else wide


def float32_scores(scores: npt.ArrayLike, what: str) -> npt.NDArray[np.float32]:
    """Return scores as float32, for methods that compute in float32.

    Raises:
        InputError: the scores overflow, or more than 1% of the distinct scores become equal.
    """
    exact = require_numbers(scores, what)
    with np.errstate(over="ignore"):
        narrow = exact.astype(np.float32)
    if exact.dtype == np.float32:
        return narrow
    distinct, left = len(np.unique(exact)), len(np.unique(narrow))
    if np.isfinite(exact).all() and (left < 0.99 * distinct or not np.isfinite(narrow).all()):
        raise InputError(
            f"{what}: this method computes in float32, which can distinguish only {left} of "
            f"{distinct} distinct scores; subtract their mean and divide by their standard deviation, or give ranks"
        )
    return narrow


def json_metadata(metadata: Mapping[Any, Any]) -> dict[str, Any]:
    """Convert metadata to JSON values; other objects, such as dates, become strings."""

    def stored(value: Any) -> Any:
        try:
            return json.loads(json.dumps(value, default=str, skipkeys=True))
        except (ValueError, TypeError, RecursionError):
            return f"<{type(value).__name__}>"

    return {str(key): stored(value) for key, value in metadata.items()}


def _vector(values: npt.ArrayLike, what: str) -> npt.NDArray[Any]:
    if np.ma.is_masked(values):
        raise InputError(f"{what} contain masked values; drop these rows")
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError, OverflowError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(
            f"{what} cannot be read as an array ({reason}); give one number per sample [N]"
        ) from error
    if array.ndim != 1:
        raise InputError(f"{what} have shape {list(array.shape)}; give one number per sample [N]")
    return array


def locate(known: npt.NDArray[np.int64], wanted: npt.NDArray[np.int64], what: str) -> npt.NDArray[np.int64]:
    """Positions of the ``wanted`` ids among the ``known`` ones, which are ascending.

    Raises:
        InputError: an id is missing; the message calls the ids ``what``.

    >>> locate(np.array([2, 4, 6]), np.array([6, 2]), "seeds").tolist()
    [2, 0]
    """
    known, wanted = require_ids(known, f"{what}: known ids"), require_ids(wanted, what)
    rows = np.searchsorted(known, wanted)
    found = (
        known[np.minimum(rows, max(len(known) - 1, 0))] == wanted
        if len(known)
        else np.zeros(len(wanted), bool)
    )
    if not found.all():
        raise InputError(
            f"{what}: {int((~found).sum())} of {len(wanted)} ids are not among the {len(known)} samples, "
            f"the first is {int(wanted[~found][0])}; pass ids of the same data set"
        )
    return rows


def read_parquet(path: Path, *, required: tuple[str, ...]) -> pa.Table:
    """Read a Parquet table.

    Raises:
        InputError: the file does not exist, is damaged, or lacks one of the ``required`` columns.
    """
    must_exist(path)
    try:
        with pq.ParquetFile(path) as file:
            # Repeated values need almost no space in Parquet, so a few bytes can claim any number of rows.
            refuse_inflation(path, 8 * file.metadata.num_rows * file.metadata.num_columns)
            table = file.read()
            table.validate(full=True)
            table.select(table.column_names)
    except InputError:
        raise
    except (
        pa.ArrowException,
        OSError,
        ValueError,
    ) as error:  # ValueError: column names or numbers are invalid
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path} is not a readable Parquet file ({first_line}); regenerate it") from error
    require_columns(table, required, str(path))
    return table


def read_metadata(table: pa.Table, what: str) -> dict[str, Any]:
    """Metadata that graphprune stored in the schema of a table; error messages call the table ``what``."""
    try:
        return dict(json.loads((table.schema.metadata or {}).get(METADATA_KEY, b"{}")))
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(
            f"{what}: the graphprune metadata is not valid JSON; regenerate the table"
        ) from error


def require_columns(table: pa.Table, required: tuple[str, ...], what: str) -> None:
    """Raise an `InputError` unless each of the ``required`` columns exists exactly once."""
    names = table.column_names
    for name in required:
        if names.count(name) != 1:
            listed = ", ".join(names) or "none"
            if name not in names:
                raise InputError(f"{what} has no column '{name}' (its columns: {listed}); add or rename it")
            raise InputError(f"{what} has several columns '{name}' (its columns: {listed}); keep one")


def numeric_column(table: pa.Table, name: str, path: Path | str) -> npt.NDArray[np.float64]:
    """A column of floats or integers as float64; nulls become NaN."""
    kind = table.schema.field(name).type
    if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
        raise InputError(f"{path}: column '{name}' is {kind}; it must be numbers")
    try:
        return np.asarray(table[name].cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    except pa.ArrowInvalid as error:
        raise InputError(
            f"{path}: column '{name}' contains integers that float64 cannot represent exactly; rescale or rank them"
        ) from error


def integer_column(table: pa.Table, name: str, path: Path | str) -> npt.NDArray[np.int64]:
    """An integer column without nulls as int64."""
    kind = table.schema.field(name).type
    if not pa.types.is_integer(kind) or table[name].null_count:
        raise InputError(
            f"{path}: column '{name}' is {kind} with {table[name].null_count} nulls; it must be integers"
        )
    try:
        return np.asarray(table[name].cast(pa.int64()).to_numpy(), dtype=np.int64)
    except pa.ArrowInvalid as error:
        raise InputError(
            f"{path}: column '{name}' does not fit 64 bits ({error}); use smaller ids"
        ) from error
