"""Score tables and selections for other tools: pandas, polars, DuckDB, Hugging Face datasets, torch, text.

Every function imports its library when it is called, and the error for a missing library says how to install it.
"""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from graphprune.errors import InputError
from graphprune.files import must_exist, write_text
from graphprune.select.base import Selection
from graphprune.table import ScoreTable, integer_column, locate, numeric_column, require_ids

if TYPE_CHECKING:
    import datasets
    import pandas
    import polars
    from torch.utils.data import Dataset, Subset

Ids = npt.NDArray[np.int64]


def to_pandas(table: ScoreTable) -> pandas.DataFrame:
    """Convert to a data frame with the columns ``sample_id, value, std, source``; its ``attrs`` contain the metadata.

    >>> to_pandas(ScoreTable([0, 1], [0.5, 0.25], True))["value"].tolist()
    [0.5, 0.25]
    """
    _need("pandas", "interchange")
    frame: pandas.DataFrame = table.to_arrow().to_pandas()
    frame.attrs = dict(table.metadata)
    return frame


def from_pandas(frame: pandas.DataFrame) -> ScoreTable:
    """Create a table from ``sample_id``, ``value`` and optionally ``std`` and ``source``; the index is ignored."""
    plain = frame.copy(deep=False)
    plain.attrs = {}  # Arrow would warn about attributes that it cannot store
    arrow = pa.Table.from_pandas(plain, preserve_index=False)
    return ScoreTable.from_arrow(arrow, "data frame", metadata=dict(frame.attrs))


def to_polars(table: ScoreTable) -> polars.DataFrame:
    """Convert to a data frame with the columns ``sample_id, value, std, source``; polars stores no metadata."""
    return _need("polars", "interchange").from_arrow(table.to_arrow())


def from_polars(frame: polars.DataFrame) -> ScoreTable:
    """Create a table from a frame with ``sample_id``, ``value`` and optionally ``std`` and ``source``."""
    return ScoreTable.from_arrow(frame.to_arrow(), "data frame")


def query(sql: str, **tables: ScoreTable | pa.Table) -> pa.Table:
    """Run a SQL query with DuckDB; the keyword arguments are the names of the tables.

    Their columns are ``sample_id, value, std, source``. Files can be queried directly: ``FROM 'P.parquet'``.

    >>> table = ScoreTable([0, 1, 2], [0.5, 0.25, 0.75], True)
    >>> query("SELECT sample_id FROM scores WHERE value > 0.4 ORDER BY value DESC", scores=table).to_pydict()
    {'sample_id': [2, 0]}
    """
    duckdb = _need("duckdb", "interchange")
    with duckdb.connect() as connection:
        for name, table in tables.items():
            connection.register(name, table.to_arrow() if isinstance(table, ScoreTable) else table)
        try:
            answer = connection.sql(sql)
            found = pa.table({}) if answer is None else answer.to_arrow_table()
        except duckdb.Error as error:
            raise InputError(f"query: {str(error).splitlines()[0]}; correct the SQL") from error
    return found


def add_scores(dataset: datasets.Dataset, table: ScoreTable, *, column: str = "score") -> datasets.Dataset:
    """Add the scores to a Hugging Face data set as a column; row i is the sample with id i.

    Raises:
        InputError: the column exists already, or the table does not contain exactly one score per row.
    """
    if column in dataset.column_names:
        raise InputError(f"the data set already has a column '{column}'; choose another name with column=")
    if len(table) != len(dataset):
        raise InputError(f"{len(table)} scores for a data set of {len(dataset)} rows; give one score per row")
    rows = table.rows_of(np.arange(len(dataset), dtype=np.int64), "rows of the data set")
    return dataset.add_column(column, table.values[rows].tolist())


def from_dataset(dataset: datasets.Dataset, *, column: str = "score", ids: str | None = None) -> ScoreTable:
    """Create a table of measured scores from a column of a Hugging Face data set.

    Args:
        dataset: The data set.
        column: Column that contains the scores.
        ids: Column that contains the sample ids (default: row i has id i).

    Raises:
        InputError: a column is missing, the scores are not finite numbers, or the ids are not unique int64.
    """
    for name in (column, *([] if ids is None else [ids])):
        if name not in dataset.column_names:
            raise InputError(
                f"the data set has no column '{name}' (its columns: {', '.join(dataset.column_names)}); "
                "name one of them"
            )
    # Read as Arrow, because the NumPy format of data sets rounds float64 to float32.
    table = dataset.select_columns([column] if ids is None else [column, ids]).with_format("arrow")[:]
    values = numeric_column(table, column, "the data set")
    names = np.arange(len(table)) if ids is None else integer_column(table, ids, "the data set")
    return ScoreTable(names, values, np.ones(len(table), dtype=bool))


def as_subset(selection: Selection, dataset: Dataset[Any], *, ids: Ids | None = None) -> Subset[Any]:
    """The selected samples of a map-style torch ``Dataset``, in the order of their ids.

    Args:
        selection: The selected ids.
        dataset: All samples.
        ids: Id of each position ``[N]`` int64 (default: position i has id i).

    Raises:
        InputError: a selected id does not exist, or ``ids`` are not unique or not one per sample.

    >>> kept = Selection(np.array([1, 3]), np.ones(2, np.float32))
    >>> list(as_subset(kept, ["a", "b", "c", "d"]))
    ['b', 'd']
    """
    from torch.utils.data import Subset

    return Subset(dataset, _positions(selection, len(dataset), ids).tolist())  # type: ignore[arg-type]


def as_dataset(
    selection: Selection, dataset: datasets.Dataset, *, ids: Ids | None = None
) -> datasets.Dataset:
    """The selected rows of a Hugging Face data set (its ``select``); for the arguments see `as_subset`."""
    return dataset.select(_positions(selection, len(dataset), ids))


def write_ids(selection: Selection, path: Path | str) -> None:
    """Write the selected ids as text, one per line.

    Raises:
        InputError: the selection has weights other than 1, which a text file cannot store.
    """
    if (selection.weights != 1).any():
        raise InputError(
            f"{path} would lose the weights of the selection; write .parquet, .csv or .jsonl instead"
        )
    write_text(Path(path), "".join(f"{one}\n" for one in selection.ids.tolist()))


def read_ids(path: Path | str) -> Selection:
    """Read a selection from a text file with one id per line; all weights are 1."""
    path = must_exist(Path(path))
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text ({error}); write one id per line") from error
    ids = []
    for number, line in enumerate(lines, start=1):
        text = line.strip()
        whole = re.fullmatch(r"-?[0-9]{1,19}", text) and -(2**63) <= int(text) < 2**63
        if text and not whole:
            raise InputError(
                f"{path}: line {number} is {text[:40]!r}; every line must be one integer id (int64)"
            )
        if text:
            ids.append(int(text))
    try:
        return Selection(np.sort(require_ids(ids, "ids")), np.ones(len(ids), dtype=np.float32))
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def _positions(selection: Selection, n: int, ids: Ids | None) -> Ids:
    known = np.arange(n, dtype=np.int64) if ids is None else require_ids(ids, "ids of the data set")
    if len(known) != n:
        raise InputError(f"{len(known)} ids for a data set of {n} samples; give one id per sample")
    if len(np.unique(known)) != n:
        raise InputError("some ids of the data set occur more than once; give unique ids")
    order = np.argsort(known, kind="stable")
    return order[locate(known[order], selection.ids, "selection")]


def _need(package: str, extra: str) -> Any:
    try:
        return import_module(package)
    except ImportError as error:
        raise InputError(
            f"{package} is not installed; install it with: pip install 'graphprune[{extra}]'"
        ) from error
