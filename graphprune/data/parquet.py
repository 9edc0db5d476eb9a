"""Local Parquet files with encoded images, read with pyarrow only."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Unpack

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from graphprune.data.base import Data
from graphprune.data.decode import Cell
from graphprune.data.encoded import EncodedImages, ImageOptions, image_data, named_cell
from graphprune.data.labels import labels_from_arrow
from graphprune.errors import InputError
from graphprune.files import must_exist, refuse_inflation

IMAGE_NAMES = ("image", "img")
LABEL_NAMES = ("label", "fine_label", "labels", "y")
_BLOCK = 64


def load_parquet(
    path: Path,
    *,
    test_path: Path | None = None,
    image: str | None = None,
    label: str | None = None,
    **options: Unpack[ImageOptions],
) -> Data:
    """Load local Parquet files whose image column contains encoded bytes or ``{bytes, path}``.

    Labels are integers or class names. Names of integer classes are read from the ``ClassLabel`` in the schema, as
    written by Hugging Face `datasets`; test classes are matched by name. The id of a sample is its row in the file.

    Args:
        path, test_path: Files to train and to test on.
        image, label: Columns (default: the first with a usual name).
        options: See `ImageOptions`.

    Raises:
        InputError: a file or column is missing, the labels are not valid, or an image cannot be decoded.
    """
    train = _open(path, image, label)
    test = None if test_path is None else _open(test_path, image, label)
    return image_data(path.stem, train, test, **options)


def column_named(columns: list[str], name: str | None, usual: tuple[str, ...], what: str, where: str) -> str:
    """The column ``name``, or the first column with a usual name."""
    found = [name] if name is not None else [column for column in usual if column in columns]
    if not found:
        raise InputError(
            f"{where}: no {what} column was recognized among {', '.join(columns)}; name it with data.{what}"
        )
    if columns.count(found[0]) != 1:
        count = "no" if found[0] not in columns else "more than one"
        raise InputError(
            f"data.{what}: {where} has {count} column '{found[0]}'; choose one of {', '.join(columns)}"
        )
    return found[0]


def _open(path: Path, image: str | None, label: str | None) -> EncodedImages:
    must_exist(path)
    with _reading(path), pq.ParquetFile(path) as file:
        # Repeated values need almost no space in Parquet, so a few bytes can claim any number of rows.
        refuse_inflation(path, 8 * file.metadata.num_rows)
        schema = file.schema_arrow
        image = column_named(schema.names, image, IMAGE_NAMES, "image", str(path))
        label = column_named(schema.names, label, LABEL_NAMES, "label", str(path))
        column = file.read(columns=[label]).column(label)
        labels = labels_from_arrow(column, _names(schema, label), f"{path}: label column '{label}'")

    def blocks(rows: npt.NDArray[np.int64]) -> Iterator[list[Cell]]:
        with _reading(path), pq.ParquetFile(path) as file:
            start = 0
            for batch in file.iter_batches(batch_size=_BLOCK, columns=[image]):
                first, last = np.searchsorted(rows, [start, start + len(batch)])
                cells = batch.column(image)
                if last > first:
                    yield [
                        named_cell(str(path), row, cells[row - start].as_py(), path.parent)
                        for row in rows[first:last].tolist()
                    ]
                start += len(batch)

    return EncodedImages(str(path), labels, blocks)


def _names(schema: pa.Schema, label: str) -> tuple[str, ...] | None:
    """Class names from the schema metadata of Hugging Face `datasets`, or None."""
    note = (schema.metadata or {}).get(b"huggingface")
    if note is None:
        return None
    try:
        feature = json.loads(note)["info"]["features"].get(label, {})
        names = feature.get("names") if feature.get("_type") == "ClassLabel" else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("the 'huggingface' schema metadata is not valid") from error
    if names is None:
        return None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"the 'huggingface' schema metadata has no valid class names for '{label}'")
    return tuple(names)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # Arrow raises many types for damaged files
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(f"{path} could not be read as Parquet ({reason}); regenerate the file") from error
